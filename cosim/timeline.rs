// SPDX-License-Identifier: Apache-2.0
//! What the units of a core did, as a file: Chrome trace events (`chrome://tracing`, Perfetto), or a picture.

use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};
use svg::Document;
use svg::node::element::{Line, Rectangle, Text, Title};
use tandem_testbenches::core::{Span, UNIT_NAMES};

use crate::replay::write_atomically;
use crate::{Error, Result};

/// Width of a picture's cycles, pixels.
const WIDTH: f64 = 1120.0;
/// Left of them: names of the units.
const LEFT: f64 = 70.0;
/// Right of them: half of the last number.
const RIGHT: f64 = 30.0;
/// Height of a unit's row.
const ROW: f64 = 26.0;
/// Below the rows: the axis, and the legend.
const AXIS: f64 = 34.0;
const LEGEND: f64 = 22.0;
/// Colours of command kinds in the legend.
const COLOURS: [&str; 12] = [
    "#4477aa", "#aa3377", "#228833", "#bb6600", "#66508f", "#008b8b", "#994455", "#555555", "#7a7a00",
    "#1f3f8f", "#8b4513", "#2f5f5f",
];
/// Colours of kinds whose name stands in the picture, dark enough for white text.
const WRITTEN: [&str; 6] = ["#33415c", "#5c4a33", "#3f5c33", "#5c3350", "#335c5a", "#6b3f3f"];

/// A span with what it is called: the command's kind, and more.
#[derive(Clone, Debug)]
pub struct Named {
    /// What was done when.
    pub span: Span,
    /// Kind of command; decides the colour.
    pub kind: String,
    /// What it is called in full.
    pub name: String,
}

/// Fails when a file is of no kind that [`write()`] knows.
///
/// # Errors
/// Then.
pub fn check(path: Option<&Path>) -> Result<()> {
    match path {
        Some(path) if !["json", "svg"].iter().any(|known| path.extension().is_some_and(|e| e == *known)) => {
            Err(Error::Usage(format!("--timeline takes a .json or .svg file, got {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Writes all spans to a `.json` file as trace events, a track for each unit, cycles as microseconds; or those of `window` to a
/// `.svg` file as a picture.
///
/// # Errors
/// When the file is of no such kind, or cannot be written.
pub fn write(path: &Path, spans: &[Named], window: &Range<u64>) -> Result<()> {
    check(Some(path))?;
    let text = if path.extension().is_some_and(|e| e == "svg") {
        picture(spans, window)
    } else {
        trace_events(spans)
    };
    write_atomically(path, text.as_bytes())
}

fn trace_events(spans: &[Named]) -> String {
    let names = UNIT_NAMES.iter().enumerate().map(|(unit, name)| {
        json!({"ph": "M", "pid": 0, "tid": unit, "name": "thread_name", "args": {"name": name}})
    });
    let slices = spans.iter().map(|Named { span, name, .. }| {
        json!({
            "ph": "X", "pid": 0, "tid": span.unit, "name": name, "cat": UNIT_NAMES[span.unit],
            "ts": span.start, "dur": span.end - span.start,
            "args": {"starved": span.starved, "blocked": span.blocked},
        })
    });
    let events: Vec<Value> = names.chain(slices).collect();
    json!({"traceEvents": events, "displayTimeUnit": "ms"}).to_string()
}

#[expect(clippy::cast_precision_loss, reason = "cycles and rows are far below 2^52")]
const fn number(count: u64) -> f64 {
    count as f64
}

fn picture(spans: &[Named], window: &Range<u64>) -> String {
    let cycles = number(window.end.saturating_sub(window.start).max(1));
    let x = |cycle: u64| LEFT + WIDTH * number(cycle.clamp(window.start, window.end) - window.start) / cycles;
    // Control has no commands of its own: the rows begin with unit 1.
    let row = |unit: usize| 4.0 + ROW * number(unit as u64 - 1);
    let bottom = row(UNIT_NAMES.len());
    let seen = |span: &Span| span.unit != 0 && span.end > window.start && span.start < window.end;
    let fits = |span: &Span, kind: &str| x(span.end) - x(span.start) > 6.5 * number(kind.len() as u64);
    // Kinds whose name has no room anywhere stand in the legend.
    let (mut legend, mut written): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for Named { kind, .. } in spans.iter().filter(|named| seen(&named.span)) {
        let somewhere = spans.iter().any(|n| n.kind == *kind && seen(&n.span) && fits(&n.span, kind));
        let kinds = if somewhere { &mut written } else { &mut legend };
        if !kinds.contains(&kind.as_str()) {
            kinds.push(kind);
        }
    }
    let colour = |kind: &str| match legend.iter().position(|known| *known == kind) {
        Some(place) => COLOURS[place % COLOURS.len()],
        None => WRITTEN[written.iter().position(|known| *known == kind).unwrap_or(0) % WRITTEN.len()],
    };
    let mut document = Document::new()
        .set("viewBox", (0, 0, LEFT + WIDTH + RIGHT, bottom + AXIS + LEGEND))
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white"));
    for (unit, name) in UNIT_NAMES.iter().enumerate().skip(1) {
        let at = row(unit) + ROW / 2.0 + 4.0;
        document = document.add(Text::new(*name).set("x", 4).set("y", at));
    }
    for Named { span, kind, name } in spans {
        if !seen(span) {
            continue;
        }
        let (from, to, top) = (x(span.start), x(span.end), row(span.unit));
        let mut title = name.clone();
        let _ = write!(title, ": cycles {} to {}", span.start, span.end);
        document = document.add(
            Rectangle::new()
                .set("x", format!("{from:.2}"))
                .set("y", top + 2.0)
                .set("width", format!("{:.2}", (to - from).max(0.4)))
                .set("height", ROW - 4.0)
                .set("fill", colour(kind))
                .add(Title::new(title)),
        );
        if fits(span, kind) {
            let middle = f64::midpoint(from, to);
            let text = Text::new(kind.as_str()).set("x", format!("{middle:.2}"));
            let text = text.set("y", top + ROW / 2.0 + 4.0).set("fill", "white").set("text-anchor", "middle");
            document = document.add(text);
        }
    }
    let mut left = LEFT;
    for kind in &legend {
        let top = bottom + AXIS + 4.0;
        let swatch = Rectangle::new().set("x", left).set("y", top).set("width", 12).set("height", 12);
        let text = Text::new(*kind).set("x", left + 16.0).set("y", top + 10.0);
        document = document.add(swatch.set("fill", colour(kind))).add(text);
        left += 30.0 + 6.5 * number(kind.len() as u64);
    }
    let axis = |y: f64| Line::new().set("x1", LEFT).set("x2", LEFT + WIDTH).set("y1", y).set("y2", y);
    document = document.add(axis(bottom + 2.0).set("stroke", "#888888"));
    let length = window.end.saturating_sub(window.start);
    for cycle in (0..=length).step_by(usize::try_from(tick(length)).unwrap_or(usize::MAX)) {
        let at = format!("{:.2}", x(window.start + cycle));
        let text = Text::new(format!("{cycle}")).set("x", at).set("y", bottom + 16.0);
        document = document.add(text.set("text-anchor", "middle").set("fill", "#555555"));
    }
    let unit = Text::new("cycles").set("x", LEFT + WIDTH / 2.0).set("y", bottom + 30.0);
    document.add(unit.set("text-anchor", "middle").set("fill", "#555555")).to_string()
}

/// Cycles between two numbers of an axis of so many: 1, 2 or 5 times a power of ten, such that there are at most ten steps.
fn tick(length: u64) -> u64 {
    let mut steps = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    steps.find(|step| length / step <= 10).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans() -> Vec<Named> {
        let named = |unit, start, end, kind: &str| Named {
            span: Span { unit, index: 0, start, end, starved: 0, blocked: 0 },
            kind: kind.to_owned(),
            name: format!("3 {kind}"),
        };
        vec![named(2, 10, 400, "gemv"), named(1, 0, 30, "load"), named(3, 900, 950, "attend")]
    }

    #[test]
    fn a_picture_shows_what_lies_in_the_window() {
        let text = picture(&spans(), &(0..500));
        assert!(text.contains("\ngemv\n") && text.contains("3 load: cycles 0 to 30"), "{text}");
        assert!(!text.contains("attend"), "{text}");
        assert!(UNIT_NAMES.iter().skip(1).all(|name| text.contains(name)));
    }

    #[test]
    fn an_axis_has_round_numbers() {
        assert_eq!([0, 7, 500, 19_531, 60_000].map(tick), [1, 1, 50, 2000, 10_000]);
    }

    #[test]
    fn trace_events_have_a_track_for_each_unit_and_a_slice_for_each_span() {
        let events: Value = serde_json::from_str(&trace_events(&spans())).unwrap();
        let events = events["traceEvents"].as_array().unwrap();
        assert_eq!(events.len(), UNIT_NAMES.len() + 3);
        assert_eq!(events.last().unwrap()["name"], "3 attend");
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let error = write(Path::new("t.png"), &spans(), &(0..1)).unwrap_err();
        assert!(error.to_string().contains(".json or .svg"), "{error}");
    }
}
