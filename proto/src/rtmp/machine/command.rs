//! Commands: a name, a number by which the answer is known, and values (RTMP 1.0 section 7.2).

use super::super::amf0::{self, Value};
use super::super::message::{Outgoing, kind};
use super::super::{Body, Message};
use super::MachineError;
use crate::limits::RTMP_COMMAND_BYTES_MAX;

/// A command that arrived.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) name: String,
    /// 0 where no answer is wanted.
    pub(super) transaction: f64,
    /// The command object and what follows it.
    pub(super) values: Vec<Value>,
}

impl Command {
    /// Reads a message of one of the two kinds of commands.
    pub(super) fn read(message: &Message) -> Result<Self, MachineError> {
        if message.body.len() > RTMP_COMMAND_BYTES_MAX {
            return Err(MachineError::Sequence("command too long"));
        }
        let bytes = message.body.to_bytes();
        // AMF3 is announced, and AMF0 follows behind one byte.
        let amf0 = if message.kind == kind::COMMAND_AMF3 { bytes.get(1..).unwrap_or_default() } else { &bytes };
        let mut reader = amf0::Reader::new(amf0);
        let Value::String(name) = reader.value()? else { return Err(MachineError::Sequence("command without a name")) };
        let transaction = if reader.is_empty() { 0.0 } else { reader.value()?.as_number().unwrap_or(0.0) };
        let mut values = Vec::new();
        while !reader.is_empty() {
            match reader.value() {
                Ok(value) => values.push(value),
                // What we need stands in front; Flash puts AMF3 behind it.
                Err(amf0::AmfError::Type(_)) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { name, transaction, values })
    }

    /// The text at this place; 0 is the command object.
    pub(super) fn text(&self, index: usize) -> &str {
        self.values.get(index).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at this place.
    pub(super) fn number(&self, index: usize) -> Option<f64> {
        self.values.get(index).and_then(Value::as_number)
    }
}

/// Writes a command.
pub(super) fn command(stream_id: u32, name: &str, transaction: f64, values: &[Value]) -> Outgoing {
    let mut all = vec![Value::String(name.to_owned()), Value::Number(transaction)];
    all.extend_from_slice(values);
    Outgoing { kind: kind::COMMAND, stream_id, payload: amf0::write_all(&all) }
}

/// An information object.
pub(super) fn info(level: &str, code: &str, description: &str) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    Value::object([("level", text(level)), ("code", text(code)), ("description", text(description))])
}

/// A status of a stream, or of the connection (section 7.2.2).
pub(super) fn status(stream_id: u32, level: &str, code: &str, description: &str) -> Outgoing {
    command(stream_id, "onStatus", 0.0, &[Value::Null, info(level, code, description)])
}

/// The values of a data message without `@setDataFrame`, which only wraps them.
pub(super) fn data(message_kind: u8, mut body: Body) -> Body {
    const SET_DATA_FRAME: &[u8] = b"\x02\0\x0d@setDataFrame";
    if message_kind == kind::DATA_AMF3 && body.peek() == Some([0u8]) {
        body.byte();
    }
    if body.peek::<{ SET_DATA_FRAME.len() }>().is_some_and(|head| head == SET_DATA_FRAME) {
        let _ = body.split_to(SET_DATA_FRAME.len());
    }
    body
}
