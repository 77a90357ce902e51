//! Fleets of growing size as a picture: what one host costs the controller, and the memory of a run, as SVG.

use std::fmt::Write as _;

/// What was measured of one fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) hosts: f64,
    /// Milliseconds of CPU.
    pub(super) client_each: f64,
    /// MiB.
    pub(super) peak: f64,
}

const WIDTH: f64 = 640.0;
const PANEL: f64 = 200.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 40.0;
const GAP: f64 = 64.0;

/// Two panels, one above the other; hosts on a logarithmic axis, the rest from zero.
pub(super) fn svg(points: &[Point]) -> String {
    let height = TOP + 2.0 * PANEL + 2.0 * GAP;
    // A string takes every line.
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    panel(&mut text, "CPU of the controller, ms per host", TOP, points, |point| point.client_each);
    panel(&mut text, "peak memory of the run, MiB", TOP + PANEL + GAP, points, |point| point.peak);
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, title: &str, top: f64, points: &[Point], value: fn(&Point) -> f64) {
    let most = top_of_axis(points.iter().map(value).fold(0.0, f64::max));
    let (first, last) = points
        .iter()
        .fold((f64::MAX, 1.0_f64), |(first, last), point| (first.min(point.hosts), last.max(point.hosts)));
    let range = (last / first).ln().max(f64::MIN_POSITIVE);
    let x = |hosts: f64| LEFT + (hosts / first).ln() / range * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL - value / most * PANEL;
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{:.0}\" font-weight=\"bold\">{title}</text>", top - 12.0);
    for part in [0.0, 0.5, 1.0] {
        let (at, mark) = (y(most * part), most * part);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{mark}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let line: Vec<_> =
        points.iter().map(|point| format!("{:.1},{:.1}", x(point.hosts), y(value(point)))).collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"2\"/>",
        line.join(" ")
    );
    for point in points {
        let (at, height) = (x(point.hosts), y(value(point)));
        let _ = writeln!(
            text,
            "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3.5\" fill=\"#1f6feb\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>\n\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
            height - 8.0,
            value(point),
            top + PANEL + 18.0,
            point.hosts
        );
    }
}

/// The next round number above the highest value, with room for its label.
fn top_of_axis(most: f64) -> f64 {
    let wanted = (most * 1.2).max(1.0);
    let unit = 10_f64.powf(wanted.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * unit)
        .find(|top| *top >= wanted)
        .unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_in_the_picture_with_its_number() {
        let point = |hosts, client_each, peak| Point { hosts, client_each, peak };
        let picture = svg(&[point(50.0, 2.5, 31.0), point(500.0, 2.25, 40.0), point(5000.0, 2.1, 90.0)]);
        for number in [">50<", ">500<", ">5000<", ">2.5<", ">2.2<", ">31.0<", ">90.0<"] {
            assert!(picture.contains(number), "{number} is not in {picture}");
        }
        assert_eq!(picture.matches("<circle").count(), 6);
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }

    #[test]
    fn one_point_alone_is_a_picture_too() {
        assert!(!svg(&[Point { hosts: 5.0, client_each: 0.0, peak: 0.0 }]).contains("NaN"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, top) in [(2.5, "4"), (31.0, "40"), (90.0, "200"), (0.0, "1")] {
            assert_eq!(top_of_axis(most).to_string(), top);
        }
    }
}
