//! Answers for several nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;
use weft_cluster::inquiry::{Answers, Part};
use weft_cluster::ownership::NodeId;

use super::tests::{Asked, FAKE, ask, error};
use super::{Access, Others};

/// Nodes that answer, by their ids: what they are asked, and a function from a question to an answer.
#[derive(Default)]
struct Rest {
    nodes: BTreeMap<u64, (&'static str, Answering)>,
    missing: Vec<&'static str>,
    asked: Mutex<Vec<String>>,
}

type Answering = Box<dyn Fn(&Value) -> Value + Send + Sync>;

impl Rest {
    fn with(mut self, name: &'static str, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        self.nodes.insert(self.nodes.len() as u64, (name, Box::new(answer)));
        self
    }

    fn missing(mut self, name: &'static str) -> Self {
        self.missing.push(name);
        self
    }

    fn say(&self, id: u64, question: &[u8]) -> Part {
        let question: Value = serde_json::from_slice(question).unwrap();
        let (name, answer) = &self.nodes[&id];
        self.asked.lock().unwrap().push(format!("{name}: {question}"));
        Part { node: NodeId(id), name: (*name).into(), answer: answer(&question).to_string().into() }
    }
}

impl Others for Rest {
    fn ask_all(&self, question: Vec<u8>, _: Duration) -> BoxFuture<'_, Answers> {
        let parts = self.nodes.keys().map(|id| self.say(*id, &question)).collect();
        let missing = self.missing.iter().map(|&name| name.into()).collect();
        Box::pin(std::future::ready(Answers { parts, missing }))
    }

    fn ask_each(&self, questions: Vec<(NodeId, Vec<u8>)>, _: Duration) -> BoxFuture<'_, Answers> {
        let parts = questions.iter().map(|(id, question)| self.say(id.0, question)).collect();
        Box::pin(std::future::ready(Answers { parts, missing: Vec::new() }))
    }

    fn owner(&self, path: &str) -> Option<String> {
        (path == "lost").then(|| "c".into())
    }
}

async fn request(rest: Rest, method: &str, uri: &str) -> (Asked, Vec<String>) {
    let rest = Arc::new(rest);
    let access = Access { others: Some(rest.clone()), hls: true, ..Access::default() };
    let asked = ask(FAKE, access, "127.0.0.1:1", method, uri, &[]).await;
    let questions = rest.asked.lock().unwrap().clone();
    (asked, questions)
}

fn body(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn part_of_path(node: &str, owner: &str) -> Value {
    let readers = [json!({"type": "rtmpConn", "id": format!("of {node}"), "node": node})];
    json!({"name": "cam/front", "inboundBytes": 5, "outboundBytes": 100, "bytesSent": 100, "readers": readers, "node": owner})
}

#[tokio::test]
async fn lists_hold_what_all_nodes_have_in_order_and_page_by_page() {
    let list = |rows: Value| move |_: &Value| json!({"rows": rows, "more": false});
    let b = json!([[[0, "p00"], {"name": "p00", "node": "b"}], [[0, "p2"], {"name": "p2", "node": "b"}]]);
    let c = json!([[[0, "p2"], {"name": "p2", "node": "b", "readers": [{"id": "x"}], "outboundBytes": 3}]]);
    let rest = || Rest::default().with("b", list(b.clone())).with("c", list(c.clone()));
    let (asked, questions) = request(rest(), "GET", "/v3/paths/list").await;
    let whole = body(&asked);
    assert_eq!((names(&whole), &whole["itemCount"]), (vec!["p0", "p00", "p1", "p2"], &json!(4)));
    assert_eq!(
        (&whole["items"][3]["readers"], &whole["items"][3]["outboundBytes"]),
        (&json!([{"id": "x"}]), &json!(3))
    );
    assert_eq!((asked.header("weft-missing-nodes"), whole.get("missingNodes")), (None, None));
    assert_eq!(questions[0], r#"b: {"list":{"kind":"paths","after":null,"whole":100}}"#);
    let (second, _) = request(rest(), "GET", "/v3/paths/list?page=1&itemsPerPage=3").await;
    assert_eq!((names(&body(&second)), &body(&second)["pageCount"]), (vec!["p2"], &json!(2)));
    let (local, questions) = request(rest(), "GET", "/v3/paths/list?local=1").await;
    assert_eq!((names(&body(&local)), questions.len()), (vec!["p0", "p1"], 0));
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_again() {
    let answer = |question: &Value| match (&question["list"], &question["get"]["names"]) {
        (Value::Object(list), _) if list["after"].is_null() => json!({"rows": [[[0, "x1"], null]], "more": true}),
        (Value::Object(list), _) => {
            assert_eq!(list["after"], json!([0, "x1"]));
            json!({"rows": [[[0, "x2"], {"name": "x2"}], [[0, "x3"], null], [[0, "x4"], null]], "more": false})
        }
        // One goes into an answer; the last one is gone meanwhile.
        (_, names) if names == &json!(["x1", "x3", "x4"]) => {
            json!({"rows": [[[0, "x1"], {"name": "x1"}]], "more": true})
        }
        _ => json!({"rows": [[[0, "x3"], {"name": "x3"}]], "more": false}),
    };
    let (asked, questions) = request(Rest::default().with("b", answer), "GET", "/v3/paths/list").await;
    assert_eq!(names(&body(&asked)), ["p0", "p1", "x1", "x2", "x3"]);
    assert_eq!(questions.len(), 4, "{questions:?}");
    let endless = |question: &Value| match &question["list"] {
        Value::Null => json!({"rows": [], "more": true}),
        _ => json!({"rows": [], "more": true}),
    };
    let (asked, _) = request(Rest::default().with("b", endless), "GET", "/v3/paths/list").await;
    assert_eq!(body(&asked)["missingNodes"], json!(["b"]), "a node that says nothing for ever is not heard for ever");
}

#[tokio::test]
async fn who_does_not_answer_is_named() {
    let rest = Rest::default().missing("c").with("b", |_| json!("nonsense"));
    let (asked, _) = request(rest, "GET", "/v3/rtspsessions/list").await;
    assert_eq!((asked.status, asked.header("weft-missing-nodes")), (200, Some("b,c")));
    assert_eq!((&body(&asked)["missingNodes"], &body(&asked)["itemCount"]), (&json!(["b", "c"]), &json!(1)));
}

#[tokio::test]
async fn a_path_has_the_readers_of_all_nodes_and_its_owners_word() {
    let named = |node: &'static str| move |_: &Value| json!({"rows": [[[0, "cam/front"], part_of_path(node, "a")]], "more": false});
    let rest = Rest::default().with("b", named("b")).with("c", named("c"));
    let (asked, questions) = request(rest, "GET", "/v3/paths/get/cam/front").await;
    let path = body(&asked);
    let readers: Vec<&str> =
        path["readers"].as_array().unwrap().iter().map(|reader| reader["node"].as_str().unwrap()).collect();
    assert_eq!((readers, &path["inboundBytes"]), (vec!["a", "b", "c"], &json!(10)));
    assert_eq!((&path["outboundBytes"], &path["bytesSent"], &path["ready"]), (&json!(220), &json!(220), &json!(true)));
    assert_eq!(questions.len(), 2);
    let (nowhere, _) = request(Rest::default().missing("c"), "GET", "/v3/paths/get/nowhere").await;
    assert_eq!((nowhere.status, nowhere.body), (404, error("path not found")));
    let (lost, _) = request(Rest::default().missing("c"), "GET", "/v3/paths/get/lost").await;
    assert_eq!(lost.status, 503, "{}", lost.body);
}

#[tokio::test]
async fn sessions_are_found_and_ended_wherever_they_are() {
    let id = Uuid::from_u128(77).to_string();
    let wanted = id.clone();
    let answer = move |question: &Value| match question {
        question if question["kick"]["name"] == wanted.as_str() => json!(true),
        question if question["kick"].is_object() => json!(false),
        question if question["get"]["names"] == json!([wanted]) => {
            json!({"rows": [[[5, wanted], {"id": wanted, "node": "b"}]], "more": false})
        }
        _ => json!({"rows": [], "more": false}),
    };
    let answer = Arc::new(answer);
    let rest = || {
        let answer = answer.clone();
        Rest::default().with("b", move |question| answer(question))
    };
    let (found, _) = request(rest(), "GET", &format!("/v3/rtmpconns/get/{id}")).await;
    assert_eq!(body(&found), json!({"id": id, "node": "b"}));
    let (kicked, questions) = request(rest(), "POST", &format!("/v3/rtmpconns/kick/{id}")).await;
    assert_eq!((kicked.status, kicked.body.as_str()), (200, r#"{"status":"ok"}"#));
    assert_eq!(questions, [format!(r#"b: {{"kick":{{"kind":"rtmpconns","name":"{id}"}}}}"#)]);
    let (own, questions) = request(rest(), "POST", &format!("/v3/rtmpconns/kick/{}", Uuid::from_u128(3))).await;
    assert_eq!((own.status, questions.len()), (200, 0), "what is here is ended here");
    let nobody = Uuid::from_u128(78);
    let (nowhere, _) = request(rest(), "POST", &format!("/v3/rtmpconns/kick/{nobody}")).await;
    assert_eq!((nowhere.status, nowhere.body), (404, error("connection not found")));
    for (method, what) in [("POST", "kick"), ("GET", "get")] {
        let (perhaps, _) = request(rest().missing("c"), method, &format!("/v3/rtmpconns/{what}/{nobody}")).await;
        let said = "connection not found, but it may be on a node that does not answer: c";
        assert_eq!((perhaps.status, perhaps.body), (503, error(said)));
    }
}

#[tokio::test]
async fn questions_are_answered_within_their_bounds() {
    let answer = async |question: Value| {
        let answer = super::answer(&FAKE, question.to_string().as_bytes()).await;
        answer.map(|answer| serde_json::from_slice::<Value>(&answer).unwrap())
    };
    let list = answer(json!({"list": {"kind": "paths", "after": null, "whole": 1}})).await.unwrap();
    assert_eq!((&list["rows"][0][1]["name"], &list["rows"][1]), (&json!("p0"), &json!([[0, "p1"], null])));
    let rest = answer(json!({"list": {"kind": "paths", "after": [0, "p0"], "whole": 0}})).await.unwrap();
    assert_eq!(rest, json!({"rows": [[[0, "p1"], null]], "more": false}));
    let id = Uuid::from_u128(3);
    let got = answer(json!({"get": {"kind": "rtmpconns", "names": [id, Uuid::from_u128(4)]}})).await.unwrap();
    assert_eq!((got["rows"].as_array().unwrap().len(), &got["rows"][0][1]["node"]), (1, &json!("a")));
    assert_eq!(answer(json!({"kick": {"kind": "rtmpconns", "name": id}})).await, Some(json!(true)));
    assert_eq!(answer(json!({"kick": {"kind": "paths", "name": "p0"}})).await, Some(json!(false)));
    assert_eq!(answer(json!({"list": {"kind": "moqsessions"}})).await, None, "a newer node's question");
    assert_eq!(answer(json!("?")).await, None);
}
