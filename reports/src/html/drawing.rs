//! Geometry of a run's timeline.
use super::words;
use crate::timeline::RunTimeline;

/// Width of the drawing in its own units.
const WIDTH: f64 = 1000.0;
/// A point in time shorter than this could not be seen.
const LEAST_WIDTH: f64 = 6.0;
/// A wait longer than this was made by moving the clock, or would squeeze all else; it is drawn as a break.
const LONGEST_DRAWN_MS: u64 = 60_000;
/// Width of a break.
const BREAK_WIDTH: f64 = 70.0;

/// One drawn piece: the time that led to a hop.
pub(super) struct Segment {
    pub name: &'static str,
    pub class: String,
    pub x: String,
    pub width: String,
    pub duration: String,
    pub at: String,
    pub source: String,
    pub file: String,
    pub is_break: bool,
}

/// A run ready to be drawn.
pub(super) struct DrawnRun {
    pub run_id: String,
    pub scenario: String,
    pub trigger_label: String,
    pub thread: String,
    pub instance: String,
    pub status: String,
    pub pull_request: String,
    pub total: String,
    pub gaps: String,
    pub segments: Vec<Segment>,
    pub alternative: String,
}

pub(super) fn draw(run: &RunTimeline) -> DrawnRun {
    let spans: Vec<u64> = run.hops.iter().map(|hop| hop.since_before_ms).collect();
    let breaks = spans
        .iter()
        .filter(|span| **span > LONGEST_DRAWN_MS)
        .count();
    let linear: u64 = spans.iter().filter(|span| **span <= LONGEST_DRAWN_MS).sum();
    let reserved = BREAK_WIDTH * breaks as f64 + LEAST_WIDTH * (spans.len() - breaks) as f64;
    let scale = (WIDTH - reserved).max(0.0) / (linear.max(1) as f64);
    let mut x = 0.0;
    let segments: Vec<Segment> = run
        .hops
        .iter()
        .map(|hop| {
            let is_break = hop.since_before_ms > LONGEST_DRAWN_MS;
            let width = if is_break {
                BREAK_WIDTH
            } else {
                LEAST_WIDTH + hop.since_before_ms as f64 * scale
            };
            let segment = Segment {
                name: hop.name,
                class: hop.name.replace(' ', "-"),
                x: format!("{x:.1}"),
                width: format!("{width:.1}"),
                duration: words::duration(hop.since_before_ms),
                at: hop.at.format("%H:%M:%S%.3f").to_string(),
                source: hop.source.clone(),
                file: words::file(&hop.source).to_owned(),
                is_break,
            };
            x += width;
            segment
        })
        .collect();
    let alternative = segments
        .iter()
        .map(|segment| format!("{} after {}", segment.name, segment.duration))
        .collect::<Vec<_>>()
        .join(", ");
    DrawnRun {
        run_id: run.run_id.clone(),
        scenario: run.scenario.clone().unwrap_or_default(),
        trigger_label: run.trigger_label.clone(),
        thread: run.thread.clone(),
        instance: run.instance.clone(),
        status: run.status.clone(),
        pull_request: run
            .pr_number
            .map(|number| format!("#{number}"))
            .unwrap_or_default(),
        total: words::duration(linear),
        gaps: run.gaps.join(", "),
        segments,
        alternative,
    }
}
