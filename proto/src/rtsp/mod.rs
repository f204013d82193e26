//! RTSP 1.0 (RFC 2326): messages and how they are cut out of a byte stream.

mod message;
mod reader;
mod status;

pub use message::{Headers, Method, Request, Response, Version};
pub use reader::{Incoming, ReadError, Reader, write_interleaved_header};
pub use status::Status;
