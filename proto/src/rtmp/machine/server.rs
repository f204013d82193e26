//! The server's side.

use super::super::amf0::Value;
use super::super::message::{Message, Outgoing, event, kind};
use super::action::{Action, Media, Outcome, Pending, Refusal};
use super::command::{Command, command, data, info, status};
use super::{Capabilities, MachineError, WINDOW_BYTES, capabilities, url};

/// The server's side of one connection.
#[derive(Debug, Default)]
pub struct ServerMachine {
    client: Option<Client>,
    /// The message stream of the publisher or reader.
    active: Option<Active>,
    created: u32,
    /// After so many bytes the client wants to be told.
    window: u32,
    acknowledged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Active {
    stream_id: u32,
    publish: bool,
    /// Was agreed to; before that it waits for an answer.
    accepted: bool,
}

/// What a client said of itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    app: String,
    tc_url: String,
    /// Its name and version, as it writes it.
    pub version: String,
    /// What it understands.
    pub capabilities: Capabilities,
}

/// Message streams of one connection; clients use one or two.
const STREAMS_MAX: u32 = 64;

/// Characters of texts that are kept.
const TEXT_CHARS_MAX: usize = 1024;

impl ServerMachine {
    /// A connection behind its handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the client said of itself, once it has.
    pub const fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The client has sent `total` bytes so far; acknowledges them when it wants that.
    pub fn received(&mut self, total: u64, out: &mut Vec<Action>) {
        // RTMP 1.0 section 5.4.3. Twice a window is early enough for those who count differently.
        if self.window > 0 && total - self.acknowledged >= u64::from(self.window / 2) {
            self.acknowledged = total;
            out.push(Action::Send(Outgoing::number(kind::ACKNOWLEDGEMENT, total as u32)));
        }
    }

    /// Takes the next message.
    pub fn message(&mut self, message: Message, out: &mut Vec<Action>) -> Result<(), MachineError> {
        match message.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => {
                let command = Command::read(&message)?;
                self.command(message.stream_id, &command, out)?;
            }
            kind::AUDIO => self.media(Media::Audio(message.timestamp, message.body), out),
            kind::VIDEO => self.media(Media::Video(message.timestamp, message.body), out),
            kind::AGGREGATE => self.media(Media::Aggregate(message.timestamp, message.body), out),
            kind::DATA | kind::DATA_AMF3 => {
                self.media(Media::Data(message.timestamp, data(message.kind, message.body)), out);
            }
            kind::USER_CONTROL => user_control(message, out)?,
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                self.window = u32::from_be_bytes(message.body.peek().ok_or(MachineError::Control)?);
            }
            // Acknowledgements, bandwidth, shared objects, and what is not known.
            _ => {}
        }
        Ok(())
    }

    /// Answers a request.
    pub fn answer(&mut self, pending: &Pending, outcome: Outcome, out: &mut Vec<Action>) {
        let id = pending.stream_id;
        if let Outcome::Refused(refusal) = outcome {
            self.active = None;
            let (code, sentence) = refusal.status(pending.publish);
            out.push(Action::Send(status(id, "error", code, sentence)));
            return;
        }
        if let Some(active) = &mut self.active {
            active.accepted = true;
        }
        out.push(Action::Send(Outgoing::event(event::STREAM_BEGIN, id)));
        if pending.publish {
            let sentence = format!("{} is now published", pending.key);
            out.push(Action::Send(status(id, "status", "NetStream.Publish.Start", &sentence)));
        } else {
            let sentence = format!("playing {}", pending.key);
            out.push(Action::Send(status(id, "status", "NetStream.Play.Reset", &sentence)));
            out.push(Action::Send(status(id, "status", "NetStream.Play.Start", &sentence)));
            // Lets Flash look at samples; others pass over it.
            let values = [Value::String("|RtmpSampleAccess".to_owned()), Value::Boolean(true), Value::Boolean(true)];
            let payload = super::super::amf0::write_all(&values);
            out.push(Action::Send(Outgoing { kind: kind::DATA, stream_id: id, payload }));
        }
    }

    /// Says goodbye to a publisher or reader whose stream the server ends.
    pub fn end(&mut self, refusal: Option<Refusal>, out: &mut Vec<Action>) {
        let Some(Active { stream_id, publish, .. }) = self.active.take() else { return };
        match (refusal, publish) {
            (Some(refusal), _) => {
                let (code, sentence) = refusal.status(publish);
                out.push(Action::Send(status(stream_id, "error", code, sentence)));
            }
            (None, true) => {
                out.push(Action::Send(status(stream_id, "status", "NetStream.Unpublish.Success", "unpublished")));
            }
            (None, false) => {
                out.push(Action::Send(Outgoing::event(event::STREAM_END, stream_id)));
                out.push(Action::Send(status(stream_id, "status", "NetStream.Play.UnpublishNotify", "unpublished")));
                out.push(Action::Send(status(stream_id, "status", "NetStream.Play.Stop", "stopped")));
            }
        }
    }

    /// Asks the client to connect anew, if it can be asked (Enhanced RTMP v2, section "Reconnect Request"): at
    /// `host`, if one is given, else wherever it likes. Whether it was.
    pub fn ask_to_reconnect(&self, host: Option<&str>, out: &mut Vec<Action>) -> bool {
        let can = self.client.as_ref().is_some_and(|client| client.capabilities.reconnect);
        if can {
            let text = |text: &str| Value::String(text.to_owned());
            let mut properties = vec![
                ("level", text("status")),
                ("code", text("NetConnection.Connect.ReconnectRequest")),
                ("description", text("the server is being drained")),
            ];
            let elsewhere = |host| url::at_host(&self.client.as_ref()?.tc_url, host);
            properties.extend(host.and_then(elsewhere).map(|url| ("tcUrl", Value::String(url))));
            let values = [Value::Null, Value::object(properties)];
            out.push(Action::Send(command(0, "onStatus", 0.0, &values)));
        }
        can
    }

    fn media(&self, media: Media, out: &mut Vec<Action>) {
        // Media of a client that does not publish is nobody's; encoders send a little before they are answered.
        if self.active.is_some_and(|active| active.publish && active.accepted) {
            out.push(Action::Media(media));
        }
    }

    fn command(&mut self, stream_id: u32, asked: &Command, out: &mut Vec<Action>) -> Result<(), MachineError> {
        if asked.name == "connect" {
            self.connect(asked, out);
            return Ok(());
        }
        if self.client.is_none() {
            return Err(MachineError::Sequence("a command before connect"));
        }
        let result = |values: &[Value]| Action::Send(command(0, "_result", asked.transaction, values));
        match asked.name.as_str() {
            "createStream" => {
                if self.created == STREAMS_MAX {
                    return Err(MachineError::Sequence("too many streams are created"));
                }
                self.created += 1;
                out.push(result(&[Value::Null, Value::Number(self.created.into())]));
            }
            "publish" => return self.begin(stream_id, asked, true, out),
            "play" => return self.begin(stream_id, asked, false, out),
            "play2" => {
                // The name stands in an object.
                let options = asked.values.iter().find_map(Value::as_object);
                let name = options.and_then(|options| options.get("streamName")).cloned();
                let play = Command { values: vec![Value::Null, name.unwrap_or(Value::Null)], ..asked.clone() };
                return self.begin(stream_id, &play, false, out);
            }
            "FCPublish" => {
                out.push(result(&[Value::Null, Value::Undefined]));
                let info = info("status", "NetStream.Publish.Start", "FCPublish");
                out.push(Action::Send(command(0, "onFCPublish", 0.0, &[Value::Null, info])));
            }
            "FCUnpublish" => {
                out.push(result(&[Value::Null, Value::Undefined]));
                let info = info("status", "NetStream.Unpublish.Success", "FCUnpublish");
                out.push(Action::Send(command(0, "onFCUnpublish", 0.0, &[Value::Null, info])));
                self.stop(None, out);
            }
            "FCSubscribe" => {
                let info = info("status", "NetStream.Play.Start", "FCSubscribe");
                out.push(Action::Send(command(0, "onFCSubscribe", 0.0, &[Value::Null, info])));
            }
            "closeStream" => self.stop(Some(stream_id), out),
            "deleteStream" => {
                let id = asked.number(1).unwrap_or(f64::from(stream_id)) as u32;
                self.stop(Some(id), out);
            }
            "pause" => self.pause(stream_id, asked, out),
            // A live stream has one place to be at.
            "seek" => {
                out.push(Action::Send(status(stream_id, "status", "NetStream.Seek.Notify", "live streams go on")));
            }
            // How long a live stream is, nobody knows.
            "getStreamLength" | "_checkbw" => out.push(result(&[Value::Null, Value::Number(0.0)])),
            "releaseStream" => out.push(result(&[Value::Null, Value::Undefined])),
            // What the client answers, and what it tells us to hear or see.
            "_result" | "_error" | "onStatus" | "receiveAudio" | "receiveVideo" | "FCUnsubscribe" => {}
            _ if asked.transaction > 0.0 => {
                let info = info("error", "NetConnection.Call.Failed", "no such method");
                out.push(Action::Send(command(0, "_error", asked.transaction, &[Value::Null, info])));
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, asked: &Command, out: &mut Vec<Action>) {
        let empty = Default::default();
        let object = asked.values.first().and_then(Value::as_object).unwrap_or(&empty);
        let text = |name: &str| {
            let text = object.get(name).and_then(Value::as_str).unwrap_or_default();
            text.chars().take(TEXT_CHARS_MAX).collect::<String>()
        };
        let client = Client {
            app: text("app"),
            tc_url: text("tcUrl"),
            version: text("flashVer"),
            capabilities: Capabilities::of(object),
        };
        out.push(Action::Send(Outgoing::number(kind::WINDOW_ACKNOWLEDGEMENT_SIZE, WINDOW_BYTES)));
        out.push(Action::Send(Outgoing::peer_bandwidth(WINDOW_BYTES)));
        out.push(Action::SetChunkSize);
        let about = [
            ("fmsVer", Value::String("FMS/3,0,1,123".to_owned())),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
        ];
        let mut info = vec![
            ("level", Value::String("status".to_owned())),
            ("code", Value::String("NetConnection.Connect.Success".to_owned())),
            ("description", Value::String("connected".to_owned())),
            ("objectEncoding", object.get("objectEncoding").cloned().unwrap_or(Value::Number(0.0))),
        ];
        // Clients that know nothing of it are shown nothing of it.
        if client.capabilities.is_enhanced() {
            info.extend(capabilities::own());
        }
        let values = [Value::object(about), Value::object(info)];
        out.push(Action::Send(command(0, "_result", asked.transaction, &values)));
        self.client = Some(client);
    }

    fn begin(
        &mut self,
        stream_id: u32,
        asked: &Command,
        publish: bool,
        out: &mut Vec<Action>,
    ) -> Result<(), MachineError> {
        let client = self.client.as_ref().ok_or(MachineError::Sequence("a command before connect"))?;
        if self.active.is_some() {
            return Err(MachineError::Sequence("the connection publishes or plays already"));
        }
        let key: String = asked.text(1).chars().take(TEXT_CHARS_MAX).collect();
        let (path, query) = url::join(&client.app, &client.tc_url, &key);
        self.active = Some(Active { stream_id, publish, accepted: false });
        let pending = Pending { publish, stream_id, key: path.clone() };
        out.push(match publish {
            true => Action::Publish { pending, path, query },
            false => Action::Play { pending, path, query },
        });
        Ok(())
    }

    /// Ends what happens on the stream, or on any.
    fn stop(&mut self, stream_id: Option<u32>, out: &mut Vec<Action>) {
        if self.active.is_some_and(|active| stream_id.is_none_or(|id| id == active.stream_id)) {
            self.end(None, out);
            out.push(Action::Stop);
        }
    }

    fn pause(&self, stream_id: u32, asked: &Command, out: &mut Vec<Action>) {
        if self.active.is_some_and(|active| !active.publish && active.stream_id == stream_id) {
            let on = matches!(asked.values.get(1), Some(Value::Boolean(true)));
            let code = if on { "NetStream.Pause.Notify" } else { "NetStream.Unpause.Notify" };
            out.push(Action::Send(status(stream_id, "status", code, "")));
            out.push(Action::Pause(on));
        }
    }
}

/// Answers pings; buffer lengths are the client's own affair.
fn user_control(mut message: Message, out: &mut Vec<Action>) -> Result<(), MachineError> {
    let number = u16::from_be_bytes(message.body.array().ok_or(MachineError::Control)?);
    if number == event::PING_REQUEST {
        let stamp = u32::from_be_bytes(message.body.array().ok_or(MachineError::Control)?);
        out.push(Action::Send(Outgoing::event(event::PING_RESPONSE, stamp)));
    }
    Ok(())
}
