//! `weft health`: whether a node lives, in an exit code. For health checks where there is no other HTTP client, as in the
//! container image.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;

use super::args::Ask;
use super::ask::{AskError, ask_within};
use super::table::text;
use super::{complain, say};
use crate::exit::Exit;

/// Whoever asks often wants to know soon that there is no answer. A node that lives answers within milliseconds; `/ready`
/// may wait for the others for a moment.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Asks `/health`, or `/ready`. Fails when the answer is no, or none.
pub(super) fn run(how: &Ask, ready: bool) -> Exit {
    let path = if ready { "/ready" } else { "/health" };
    let answer = ask_within(ANSWER_WITHIN, &how.api, Method::GET, path, None).and_then(|bytes| {
        serde_json::from_slice::<Value>(&bytes).map_err(|error| AskError::BadAnswer(error.to_string()))
    });
    match answer {
        Ok(answer) if how.json => say(&answer.to_string()),
        Ok(answer) => say(&text(&answer["status"])),
        Err(error) => {
            complain(&error.to_string());
            return Exit::Failure;
        }
    }
    Exit::Ok
}
