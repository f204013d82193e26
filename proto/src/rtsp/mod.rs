//! RTSP 1.0 (RFC 2326): messages, transports, URIs, authentication and the state machines of both ends.
//!
//! Tolerant in what it reads, strict in what it writes. The driving loop of a session:
//! 1. read the socket into [`Reader::buffer`];
//! 2. take what is complete with [`Reader::next`] until it says `None`;
//! 3. hand interleaved data to the track that [`machine::ServerMachine::track_of_channel`] names;
//! 4. hand requests to [`machine::ServerMachine::request`];
//! 5. write the response of [`machine::Action::Respond`], or decide and get it from [`machine::ServerMachine::answer`];
//! 6. close after [`machine::Action::Teardown`] or a [`ReadError`].

pub mod auth;
pub mod machine;
mod message;
mod reader;
mod status;
mod transport;
mod uri;

pub use message::{Headers, Method, Request, Response, Version};
pub use reader::{Incoming, ReadError, Reader, write_interleaved_header};
pub use status::Status;
pub use transport::{Channels, Delivery, LowerTransport, Mode, Ports, Profile, Transport};
pub use uri::{RequestUri, Scheme, UriError, UserInfo};
