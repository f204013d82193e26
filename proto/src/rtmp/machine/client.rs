//! The client's side: for load generators and tests today, for pulling and forwarding later.

use super::super::amf0::{Object, Value};
use super::super::message::{Message, Outgoing, event, kind};
use super::action::Media;
use super::command::{Command, command, data};
use super::{MachineError, WINDOW_BYTES};

/// The client's side of one connection, which publishes or plays one stream.
#[derive(Debug)]
pub struct ClientMachine {
    app: String,
    tc_url: String,
    key: String,
    publish: bool,
    enhanced: bool,
    state: State,
    window: u32,
    acknowledged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Creating,
    Beginning(u32),
    Running(u32),
}

/// What a client is to do, or has learned.
#[derive(Debug)]
pub enum ClientEvent {
    /// Send this.
    Send(Outgoing),
    /// The server agreed: media may be sent, or comes, on this message stream.
    Begun {
        /// The message stream.
        stream_id: u32,
    },
    /// The stream's media.
    Media(Media),
    /// The server refuses, or ends the stream.
    Ended {
        /// The code of its status.
        code: String,
        /// Its sentence.
        description: String,
    },
    /// The server wants the client to connect again, there if it says where.
    Reconnect {
        /// The URL.
        tc_url: Option<String>,
    },
}

/// Numbers by which answers are known.
mod transaction {
    pub(super) const CONNECT: f64 = 1.0;
    pub(super) const CREATE: f64 = 2.0;
    pub(super) const BEGIN: f64 = 3.0;
}

/// What is told to servers that want to know how much is buffered, milliseconds.
const BUFFER_MILLIS: u32 = 3_000;

impl ClientMachine {
    /// For `rtmp://host/app/key`: `tc_url` is all but the key. `enhanced`: says that every codec is understood.
    pub fn new(app: &str, tc_url: &str, key: &str, publish: bool, enhanced: bool) -> Self {
        Self {
            app: app.to_owned(),
            tc_url: tc_url.to_owned(),
            key: key.to_owned(),
            publish,
            enhanced,
            state: State::Connecting,
            window: 0,
            acknowledged: 0,
        }
    }

    /// What to send behind the handshake.
    pub fn connect(&self) -> Outgoing {
        let text = |text: &str| Value::String(text.to_owned());
        let mut properties =
            vec![("app", text(&self.app)), ("type", text("nonprivate")), ("tcUrl", text(&self.tc_url))];
        properties.push(("flashVer", text(if self.publish { "FMLE/3.0 (compatible; Weft)" } else { "LNX 9,0,124,2" })));
        if !self.publish {
            properties.extend([("fpad", Value::Boolean(false)), ("capabilities", Value::Number(15.0))]);
        }
        if self.enhanced {
            let any = || Value::Object(Object(vec![("*".to_owned(), Value::Number(4.0))]));
            properties.extend([("videoFourCcInfoMap", any()), ("audioFourCcInfoMap", any())]);
            properties.push(("capsEx", Value::Number(15.0)));
        }
        command(0, "connect", transaction::CONNECT, &[Value::object(properties)])
    }

    /// The server has sent `total` bytes so far; acknowledges them when it wants that.
    pub fn received(&mut self, total: u64, out: &mut Vec<ClientEvent>) {
        if self.window > 0 && total - self.acknowledged >= u64::from(self.window / 2) {
            self.acknowledged = total;
            out.push(ClientEvent::Send(Outgoing::number(kind::ACKNOWLEDGEMENT, total as u32)));
        }
    }

    /// Takes the next message.
    pub fn message(&mut self, mut message: Message, out: &mut Vec<ClientEvent>) -> Result<(), MachineError> {
        match message.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => self.command(&Command::read(&message)?, out)?,
            kind::AUDIO => out.push(ClientEvent::Media(Media::Audio(message.timestamp, message.body))),
            kind::VIDEO => out.push(ClientEvent::Media(Media::Video(message.timestamp, message.body))),
            kind::AGGREGATE => out.push(ClientEvent::Media(Media::Aggregate(message.timestamp, message.body))),
            kind::DATA | kind::DATA_AMF3 => {
                let body = data(message.kind, message.body);
                out.push(ClientEvent::Media(Media::Data(message.timestamp, body)));
            }
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                self.window = u32::from_be_bytes(message.body.peek().ok_or(MachineError::Control)?);
            }
            kind::USER_CONTROL => {
                let number = u16::from_be_bytes(message.body.array().ok_or(MachineError::Control)?);
                if number == event::PING_REQUEST {
                    let stamp = u32::from_be_bytes(message.body.array().ok_or(MachineError::Control)?);
                    out.push(ClientEvent::Send(Outgoing::event(event::PING_RESPONSE, stamp)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, answer: &Command, out: &mut Vec<ClientEvent>) -> Result<(), MachineError> {
        match (answer.name.as_str(), self.state) {
            ("_result", State::Connecting) if answer.transaction == transaction::CONNECT => {
                self.state = State::Creating;
                out.push(ClientEvent::Send(Outgoing::number(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, WINDOW_BYTES)));
                if self.publish {
                    let key = [Value::Null, Value::String(self.key.clone())];
                    out.push(ClientEvent::Send(command(0, "releaseStream", 0.0, &key)));
                    out.push(ClientEvent::Send(command(0, "FCPublish", 0.0, &key)));
                }
                out.push(ClientEvent::Send(command(0, "createStream", transaction::CREATE, &[Value::Null])));
            }
            ("_result", State::Creating) if answer.transaction == transaction::CREATE => {
                let id = answer.number(1).ok_or(MachineError::Sequence("createStream without an answer"))? as u32;
                self.state = State::Beginning(id);
                self.begin(id, out);
            }
            ("_error", State::Connecting | State::Creating | State::Beginning(_)) => out.push(ended(answer)),
            ("onStatus", _) => self.status(answer, out),
            _ => {}
        }
        Ok(())
    }

    fn begin(&self, id: u32, out: &mut Vec<ClientEvent>) {
        let key = Value::String(self.key.clone());
        if self.publish {
            let values = [Value::Null, key, Value::String("live".to_owned())];
            out.push(ClientEvent::Send(command(id, "publish", transaction::BEGIN, &values)));
        } else {
            // -2: live, else recorded (RTMP 1.0 section 7.2.2.1).
            let values = [Value::Null, key, Value::Number(-2_000.0)];
            out.push(ClientEvent::Send(command(id, "play", transaction::BEGIN, &values)));
            out.push(ClientEvent::Send(Outgoing::buffer_length(id, BUFFER_MILLIS)));
        }
    }

    fn status(&mut self, answer: &Command, out: &mut Vec<ClientEvent>) {
        let Some(info) = answer.values.iter().rev().find_map(Value::as_object) else { return };
        let text = |name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = text("code");
        match (code.as_str(), self.state) {
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let tc_url = Some(text("tcUrl")).filter(|url| !url.is_empty());
                out.push(ClientEvent::Reconnect { tc_url });
            }
            ("NetStream.Publish.Start" | "NetStream.Play.Start", State::Beginning(stream_id)) => {
                self.state = State::Running(stream_id);
                out.push(ClientEvent::Begun { stream_id });
            }
            ("NetStream.Play.UnpublishNotify" | "NetStream.Unpublish.Success" | "NetStream.Play.Stop", _) => {
                out.push(ended(answer));
            }
            _ if text("level") == "error" => out.push(ended(answer)),
            _ => {}
        }
    }
}

fn ended(answer: &Command) -> ClientEvent {
    let info = answer.values.iter().rev().find_map(Value::as_object);
    let text = |name: &str| info.and_then(|info| info.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
    ClientEvent::Ended { code: text("code"), description: text("description") }
}
