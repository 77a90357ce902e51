//! The run along the clock: a bar for each cell, machine by machine, so that idle time and slow scenarios stand out.

use maud::{Markup, html};

use crate::report::Report;
use crate::report::words::{Matrix, Numbered, duration, word};

/// In pixels: what one cell at a time takes.
const LANE: usize = 16;
/// Distances of the clock's marks, in milliseconds: the least that leaves room for the words is taken.
const STEPS: [u64; 15] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_200_000, 1_800_000,
    3_600_000, 7_200_000, 21_600_000,
];
const MOST_MARKS: u64 = 8;
/// Of the whole width, in thousandths of a percent: a bar that can still be seen and hit.
const THINNEST: u64 = 200;

pub(super) fn section(matrix: &Matrix<'_>, report: &Report) -> Markup {
    let ends = report.cells.iter().map(|cell| cell.started_ms.saturating_add(cell.elapsed_ms));
    let whole = ends.chain([report.elapsed_ms, 1]).max().unwrap_or(1);
    html! {
        section #timeline {
            h2 { "Timeline of the run" }
            div.gantt {
                span {}
                svg.clock width="100%" height="16" aria-hidden="true" {
                    @for at in marks(whole) { text x=(share(at, whole)) y="12" { (clock(at)) } }
                }
                @for (machine, _) in &matrix.machines {
                    @let lanes = lanes(matrix.on(machine).collect());
                    span.name { (machine) }
                    svg width="100%" height=(lanes.len() * LANE) role="group" aria-label={ "Timeline of " (machine) } {
                        @for at in marks(whole) {
                            line x1=(share(at, whole)) x2=(share(at, whole)) y1="0" y2="100%" {}
                        }
                        @for (lane, cells) in lanes.iter().enumerate() {
                            @for cell in cells { (bar(*cell, lane, whole)) }
                        }
                    }
                }
            }
            p.note { "Time before a machine's first bar is another machine's; a gap is the time between two scenarios." }
        }
    }
}

fn bar((number, cell): Numbered<'_>, lane: usize, whole: u64) -> Markup {
    let width = thousandths(cell.elapsed_ms, whole).max(THINNEST);
    // The matrix leads to the same places; nobody shall have to step through a thousand bars.
    html! {
        a href={ "#cell-" (number) } tabindex="-1" {
            rect.(word(cell.outcome)) x=(share(cell.started_ms, whole)) y=(lane * LANE + 2) width=(percent(width)) height=(LANE - 4) {
                title {
                    (cell.scenario) ": " (word(cell.outcome)) " in " (duration(cell.elapsed_ms)) ", seed " (cell.seed)
                }
            }
        }
    }
}

/// The cells of one machine on as few lanes as show each of them: two workers may have the same machine.
fn lanes(mut cells: Vec<Numbered<'_>>) -> Vec<Vec<Numbered<'_>>> {
    cells.sort_by_key(|(number, cell)| (cell.started_ms, *number));
    let mut lanes: Vec<(u64, Vec<Numbered<'_>>)> = Vec::new();
    for (number, cell) in cells {
        let end = cell.started_ms.saturating_add(cell.elapsed_ms);
        match lanes.iter_mut().find(|(free, _)| *free <= cell.started_ms) {
            Some((free, lane)) => {
                *free = end;
                lane.push((number, cell));
            }
            None => lanes.push((end, vec![(number, cell)])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

fn marks(whole: u64) -> impl Iterator<Item = u64> {
    let fits = |step: &&u64| whole / **step <= MOST_MARKS;
    // Days long, it has marks all the same.
    let step = STEPS.iter().find(fits).copied().unwrap_or(whole / MOST_MARKS);
    (0..).map(move |number: u64| number.saturating_mul(step)).take_while(move |at| *at < whole)
}

/// A moment on the clock: `1:30` is one minute and a half, `1:00:00` an hour.
fn clock(milliseconds: u64) -> String {
    let (hours, minutes, seconds) =
        (milliseconds / 3_600_000, milliseconds / 60_000 % 60, milliseconds / 1_000 % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A part of a whole, in percent.
pub(super) fn share(part: u64, whole: u64) -> String {
    percent(thousandths(part, whole))
}

fn thousandths(part: u64, whole: u64) -> u64 {
    let share = u128::from(part.min(whole)) * 100_000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(100_000)
}

fn percent(thousandths: u64) -> String {
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_and_never_more_than_the_whole() {
        for (part, whole, expected) in
            [(0, 9, "0.000%"), (1, 3, "33.333%"), (9, 9, "100.000%"), (10, 9, "100.000%"), (5, 0, "0.000%")]
        {
            assert_eq!(share(part, whole), expected);
        }
        assert_eq!(share(u64::MAX, u64::MAX), "100.000%");
    }

    #[test]
    fn the_clock_has_room_for_its_words_however_long_the_run() {
        for whole in [1, 900, 8_000, 61_000, 600_000, 3_600_000, 86_400_000, 864_000_000, u64::MAX] {
            let marks: Vec<u64> = marks(whole).collect();
            assert!((1..=9).contains(&marks.len()) && marks[0] == 0, "{whole}: {marks:?}");
        }
        assert_eq!((clock(90_000), clock(3_605_000)), ("1:30".to_owned(), "1:00:05".to_owned()));
    }
}
