//! Workers: one single-threaded runtime per core. A worker owns its sessions from accept to end.

pub mod accept;
pub mod admission;
mod bell;
pub mod bind;
mod faulty;
mod pool;
pub mod proxied;
pub mod tcp;
pub mod udp;

pub use bell::Bell;
pub use pool::{Listening, Pool, Worker};
