//! The report as people read it, and the lines that go before it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this command is for")]

use comfy_table::{CellAlignment, Table, presets};

use super::Mark;
use super::outcome::Spread;
use super::place::{Hop, Place};
use super::report::{Limit, Report};

/// Prints to standard output.
pub(super) fn print(report: &Report, json: bool) {
    if json {
        match serde_json::to_string_pretty(report) {
            Ok(text) => println!("{text}"),
            Err(error) => complain(&error.to_string()),
        }
        return;
    }
    println!("{}", table(report));
    for failure in &report.failures {
        println!("FAILED  {failure}");
    }
}

/// One error on standard error.
pub(super) fn complain(text: &str) {
    eprintln!("weft-chaos: {text}");
}

/// One line about the last second on standard error.
pub(super) fn progress(phase: &str, before: &Mark, now: &Mark, note: &str) {
    let seconds = (now.at_ns - before.at_ns) as f64 / 1e9;
    let gbit = (now.counts.bytes - before.counts.bytes) as f64 * 8.0 / 1e9 / seconds;
    let units = (now.counts.units - before.counts.units) as f64 / seconds;
    let own = (now.own_cpu - before.own_cpu).as_secs_f64() / seconds * 100.0;
    let mut line = format!("{phase:<8} {gbit:>7.3} Gbit/s {units:>7.0} units/s");
    line += &format!("  lost {} ended {}  own CPU {own:.0} %", now.counts.lost, now.counts.ended);
    if let (Some(from), Some(to)) = (before.server, now.server) {
        let cpu = (to.cpu.saturating_sub(from.cpu)).as_secs_f64() / seconds * 100.0;
        line += &format!("  server CPU {cpu:.0} % RSS {:.1} MB", to.rss as f64 / 1e6);
    }
    if !note.is_empty() {
        line += &format!("  {note}");
    }
    eprintln!("{line}");
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["what", "value", "more"]);
    let mut row = |what: &str, value: String, more: String| {
        table.add_row([what.to_owned(), value, more]);
    };
    let Report { asked, delivered, loss, times_ms, generator, .. } = report;
    row(
        "load",
        format!("{} -> {}", asked.publishers, asked.readers),
        format!(
            "publishers ({}) to readers ({}), {:.2} Mbit/s, {} fps, keyframe each {:.1} s, {}",
            asked.transport,
            asked.read_transport,
            asked.bitrate as f64 / 1e6,
            asked.fps,
            asked.gop_seconds,
            if asked.audio { "with sound" } else { "video only" }
        ),
    );
    row(
        "delivered",
        format!("{:.4} Gbit/s", delivered.gbit_per_second),
        format!(
            "{:.2} Gbit and {:.0} units/s in {:.1} s",
            delivered.gbit, delivered.units_per_second, report.window_seconds
        ),
    );
    row(
        "lost units",
        format!("{} of {}", loss.units_lost, loss.units + loss.units_lost),
        format!("{:.4} %; {} incomplete, {} missing at the end", loss.percent, loss.incomplete, loss.missing_at_end),
    );
    row(
        "other faults",
        format!("{}", loss.duplicates + loss.reordered + loss.late + loss.corrupt),
        format!(
            "{} duplicates, {} reordered, {} late, {} with wrong bytes",
            loss.duplicates, loss.reordered, loss.late, loss.corrupt
        ),
    );
    row(
        "lost packets",
        loss.packets_lost.to_string(),
        format!("{} reordered; audio frames lost {} of {}", loss.packets_reordered, loss.audio_lost, loss.audio_frames),
    );
    if loss.parts > 0 {
        row("HLS parts", loss.parts.to_string(), "each asked for, after a playlist that waited for it".to_owned());
    }
    row(
        "readers",
        format!("{}", u64::from(asked.readers) - loss.readers_refused),
        format!(
            "{} refused, {} disconnected, {} without picture",
            loss.readers_refused, loss.readers_ended, loss.readers_without_picture
        ),
    );
    if let (Some(Spread { p50, p99, max }), Some(rate)) = (times_ms.joined, report.joins_per_second) {
        row("let in", format!("p50 {p50:.2} ms"), format!("p99 {p99:.2} ms, max {max:.2} ms; {rate:.1} a second"));
    }
    for (what, spread) in [
        ("first frame", times_ms.first_frame),
        ("behind live", times_ms.behind_live),
        ("latency", times_ms.latency),
        ("longest gap", times_ms.longest_gap),
    ] {
        match spread {
            Some(Spread { p50, p99, max }) => {
                row(what, format!("p50 {p50:.2} ms"), format!("p99 {p99:.2} ms, max {max:.2} ms"));
            }
            None => row(what, "-".into(), String::new()),
        }
    }
    for of in ["pictures", "sound"] {
        let stalls = || report.stalls.iter().filter(|stall| stall.of == of);
        if let Some(longest) = stalls().max_by(|one, other| one.seconds.total_cmp(&other.seconds)) {
            let until = stalls().map(|stall| stall.begin_seconds + stall.seconds).fold(0.0, f64::max);
            let more =
                format!("longest {:.2} s, on path {}; the last ended at {until:.1} s", longest.seconds, longest.path);
            row(&format!("{of} stood still"), stalls().count().to_string(), more);
        }
    }
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let kb = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} KB", bytes / 1e3));
    if report.places.len() > 1 {
        for place in &report.places {
            row(&place.url, read_at(place), times_at(place));
        }
    }
    if let Some(server) = &report.server {
        row(
            "server CPU",
            format!("{} Gbit/CPU-s", figure(server.gbit_per_cpu_second)),
            format!(
                "{:.2} CPU-s ({:.0} %), {} CPU-s per Gbit; ms per second: {} per reader, {} per publisher",
                server.cpu_seconds,
                server.cpu_percent,
                figure(server.cpu_seconds_per_gbit),
                figure(server.cpu_ms_per_second_per_reader),
                figure(server.cpu_ms_per_second_per_publisher)
            ),
        );
        row(
            "server memory",
            format!("{}/reader", kb(server.rss_bytes_per_reader)),
            format!(
                "{:.1} MB idle, {:.1} with publishers ({} each), {:.1} with readers",
                server.rss_idle_bytes as f64 / 1e6,
                server.rss_publishers_bytes as f64 / 1e6,
                kb(server.rss_bytes_per_publisher),
                server.rss_readers_bytes as f64 / 1e6
            ),
        );
    }
    for Limit { bare, server_share } in &report.bare {
        let share = server_share.map_or(String::new(), |share| format!("; the server reaches {share:.3} of it"));
        let pace = bare.fps.map_or("without a pause".to_owned(), |fps| format!("at {fps} frames/s"));
        row(
            "bare",
            format!("{:.3} Gbit/CPU-s", bare.gbit_per_cpu_second),
            format!("one thread writing {pace}: {:.2} Gbit, {:.2} CPU-s{share}", bare.gbit, bare.cpu_seconds),
        );
    }
    let share = generator.share_of_server.map_or(String::new(), |share| format!(", {share:.2} of the server's"));
    row(
        "this generator",
        format!("{} CPU-s/Gbit", figure(generator.cpu_seconds_per_gbit)),
        format!(
            "{:.2} CPU-s ({:.0} %), reading {:.2}{share}",
            generator.cpu_seconds, generator.cpu_percent, generator.reader_cpu_seconds
        ),
    );
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn read_at(place: &Place) -> String {
    let Place { joined, readers, gbit_per_second, .. } = place;
    format!("{joined} of {readers}, {gbit_per_second:.4} Gbit/s")
}

fn times_at(place: &Place) -> String {
    let spread = |spread: Option<Spread>| match spread {
        Some(Spread { p50, p99, max }) => format!("p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms"),
        None => "not measured".to_owned(),
    };
    let first = place.times_ms.first_frame.map_or_else(|| "-".to_owned(), |first| format!("{:.1} ms", first.p99));
    let mut line = format!("latency {}; first frame p99 {first}", spread(place.times_ms.latency));
    line += &format!("; lost {} of {}", place.units_lost, place.units + place.units_lost);
    if place.ended > 0 {
        line += &format!("; {} disconnected", place.ended);
    }
    if let Some(Hop { after, p50_ms, p99_ms }) = &place.hop {
        line += &format!("; hop after {after}: p50 {p50_ms:+.2} ms, p99 {p99_ms:+.2} ms");
    }
    line
}
