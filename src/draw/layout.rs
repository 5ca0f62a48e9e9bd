//! draw: a chart in a frame -> a list of shapes with their places, which SVG and PNG are written from.

use jiff::tz::TimeZone;

use super::canvas::{Anchor, Canvas, MARGIN, Point, SLACK, SMALL, Shape, Text, look, wide};
use super::legend::{self, ROW};
use super::line::stack;
use super::palette::Paint;
use super::ticks::{Axis, axis};
use super::{Chart, Line, Theme, hours, letters};

/// How large a picture is, and how it looks.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Pixels; at least 160.
    pub width: u32,
    /// Pixels, the legend included; none: as high as it takes.
    pub height: Option<u32>,
    /// Light or dark.
    pub theme: Theme,
    /// The time zone of the axis.
    pub zone: TimeZone,
}

impl Default for Frame {
    fn default() -> Self {
        Self { width: 800, height: None, theme: Theme::Light, zone: TimeZone::system() }
    }
}

/// Shapes on a background, in the order in which they are painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    pub(super) background: Paint,
    /// The title, for readers who cannot see the picture.
    pub(super) title: String,
    /// A description, for readers who cannot see the picture.
    pub(super) description: String,
    pub(super) shapes: Vec<Shape>,
}

/// The default height of the plot.
const FIELD: f32 = 220.0;
/// The default number of rows of a legend.
const LEGEND_ROWS: usize = 20;
const TITLE: f32 = 15.0;
/// The plot: the places of values and times.
struct Field {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
    from: i64,
    span: f64,
    low: f64,
    high: f64,
}

impl Field {
    fn x(&self, ts: i64) -> f32 {
        let share = ((ts - self.from) as f64 / self.span).clamp(0.0, 1.0);
        self.left + share as f32 * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f32 {
        // Halves, because the distance of the two largest numbers is infinite.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        self.bottom - share.clamp(0.0, 1.0) as f32 * (self.bottom - self.top)
    }
}

/// Lays a chart out.
pub fn picture(chart: &Chart, frame: &Frame) -> Picture {
    let palette = frame.theme.palette();
    let width = frame.width.max(160) as f32;
    let mut canvas = Canvas { shapes: Vec::with_capacity(64 + chart.lines.len() * 8), palette };
    let mut top = head(&mut canvas, chart, frame, width);
    if !chart.marks.is_empty() {
        top += 15.0;
    }
    let (height, rows) = match frame.height {
        None => {
            let rows = chart.lines.len().min(LEGEND_ROWS * legend::across(chart, width));
            (top + FIELD + 26.0 + legend::height(chart, rows, width), rows)
        }
        Some(height) => {
            let height = (height as f32).max(80.0);
            // The lines come first; a legend gets two fifths, or nothing.
            let room =
                (height * 0.4).min(height - top - 26.0 - 80.0) - legend::height(chart, 0, width);
            let high = if room < ROW { 0 } else { (room / ROW) as usize };
            let rows = high * legend::across(chart, width);
            (height, rows.min(chart.lines.len()))
        }
    };
    let height = height.ceil();
    let under = if rows > 0 { legend::height(chart, rows, width) } else { 8.0 };
    let bottom = (height - under - 22.0).max(top + 10.0);
    let values = scale(chart, bottom - top);
    let labels = values.ticks.iter().map(|(_, text)| wide(text, SMALL, false));
    let left = MARGIN + labels.fold(0.0, f32::max).max(8.0) + 8.0;
    let field = Field {
        left,
        top,
        right: (width - MARGIN - 4.0).max(left + 10.0),
        bottom,
        from: chart.from,
        span: ((chart.to - chart.from) as f64).max(1.0),
        low: values.low,
        high: values.high,
    };
    grid(&mut canvas, chart, &field, &values, frame);
    if chart.is_empty() {
        let middle = ((field.left + field.right) / 2.0, (field.top + field.bottom) / 2.0 + 4.0);
        canvas.text(middle, Anchor::Middle, palette.muted, "no data in this time");
    } else if chart.stacked {
        stacked(&mut canvas, chart, &field);
    } else {
        lines(&mut canvas, chart, &field);
    }
    thresholds(&mut canvas, chart, &field);
    marks(&mut canvas, chart, &field);
    if rows > 0 {
        legend::draw(&mut canvas, chart, rows, bottom + 30.0, width);
    }
    Picture {
        width: width as u32,
        height: height as u32,
        background: palette.background,
        title: chart.title.clone(),
        description: legend::description(chart, &hours::span(chart.from, chart.to, &frame.zone)),
        shapes: canvas.shapes,
    }
}

/// Draws the title and subtitle; returns the place where the plot may begin.
fn head(canvas: &mut Canvas, chart: &Chart, frame: &Frame, width: f32) -> f32 {
    let palette = canvas.palette;
    let room = width - 2.0 * MARGIN;
    canvas.shapes.push(Shape::Text(Text {
        at: (MARGIN, 26.0),
        size: TITLE,
        bold: true,
        anchor: Anchor::Start,
        paint: palette.text,
        text: letters::cut(&chart.title, room / SLACK, TITLE, true),
    }));
    let span = hours::span(chart.from, chart.to, &frame.zone);
    let span = letters::cut(&span, room / SLACK, SMALL, false);
    let left = room - wide(&span, SMALL, false) - 20.0;
    let beside = if left < 60.0 {
        String::new()
    } else {
        letters::cut(&chart.subtitle, left / SLACK, SMALL, false)
    };
    let (at, anchor) = if beside.is_empty() {
        ((MARGIN, 44.0), Anchor::Start)
    } else {
        canvas.text((MARGIN, 44.0), Anchor::Start, palette.muted, beside);
        ((width - MARGIN, 44.0), Anchor::End)
    };
    canvas.text(at, anchor, palette.muted, span);
    58.0
}

fn scale(chart: &Chart, height: f32) -> Axis {
    let most = (height / 38.0).clamp(1.0, 10.0) as usize;
    match chart.extent() {
        Some((low, high)) => axis(low, high, &chart.unit, most),
        // Without values there is nothing to measure.
        None => Axis { low: 0.0, high: 1.0, ticks: vec![(0.0, String::new())] },
    }
}

/// Moves a line of one pixel onto one row of pixels.
fn crisp(at: f32) -> f32 {
    at.floor() + 0.5
}

fn grid(canvas: &mut Canvas, chart: &Chart, field: &Field, values: &Axis, frame: &Frame) {
    let palette = canvas.palette;
    for (value, text) in &values.ticks {
        let y = field.y(*value);
        let zero = *value == 0.0;
        let paint = if zero { palette.axis } else { palette.grid };
        canvas.stroke(vec![(field.left, crisp(y)), (field.right, crisp(y))], 1.0, None, paint);
        canvas.text((field.left - 8.0, y + 4.0), Anchor::End, palette.muted, text.clone());
    }
    let room = field.right - field.left;
    let fits = |step: i64, count: usize| {
        let pixels = step as f32 / field.span as f32 * room;
        pixels >= wide(&"0".repeat(count), SMALL, true) + 14.0
    };
    let mut free = f32::MIN;
    for tick in hours::ticks(chart.from, chart.to, &frame.zone, fits) {
        let x = field.x(tick.ts);
        let paint = if tick.strong { palette.axis } else { palette.grid };
        canvas.stroke(vec![(crisp(x), field.top), (crisp(x), field.bottom)], 1.0, None, paint);
        let half = wide(&tick.text, SMALL, tick.strong) / 2.0;
        let at = x.clamp(half + 2.0, (field.right + MARGIN - half).max(half + 2.0));
        if at - half < free {
            continue;
        }
        free = at + half + 6.0;
        let paint = if tick.strong { palette.text } else { palette.muted };
        canvas.text((at, field.bottom + 16.0), Anchor::Middle, paint, tick.text);
    }
    canvas.stroke(
        vec![(field.left, crisp(field.bottom)), (field.right, crisp(field.bottom))],
        1.0,
        None,
        palette.axis,
    );
}

fn points(line: &Line, values: &[f64], piece: std::ops::Range<usize>, field: &Field) -> Vec<Point> {
    piece.map(|i| (field.x(line.ts[i]), field.y(values[i]))).collect()
}

/// Draws all lines from zero, with their bands behind them.
fn lines(canvas: &mut Canvas, chart: &Chart, field: &Field) {
    let alone = chart.lines.len() == 1;
    let few = chart.lines.len() <= 4;
    let (weight, base) = match chart.lines.len() {
        0..=4 => (1.6, field.y(0.0f64.clamp(field.low, field.high))),
        5..=12 => (1.4, field.bottom),
        _ => (1.1, field.bottom),
    };
    // All bands first, so that none covers a line.
    for (number, line) in chart.lines.iter().enumerate().filter(|_| few) {
        let (paint, _) = look(&chart.lines[number].name, number, canvas.palette);
        for piece in line.pieces().into_iter().filter(|p| p.len() > 1) {
            if !line.min.is_empty() {
                let upper = points(line, &line.max, piece.clone(), field);
                let lower = points(line, &line.min, piece.clone(), field);
                canvas.shapes.push(Shape::Area { upper, lower, paint: paint.faint(84) });
            }
            // If the band does not show zero, the ground does.
            if alone && field.low <= 0.0 && field.high >= 0.0 {
                let upper = points(line, &line.mean, piece, field);
                let lower = upper.iter().map(|(x, _)| (*x, base)).collect();
                canvas.shapes.push(Shape::Area { upper, lower, paint: paint.faint(26) });
            }
        }
    }
    for (number, line) in chart.lines.iter().enumerate() {
        let (paint, dashes) = look(&chart.lines[number].name, number, canvas.palette);
        for piece in line.pieces() {
            let mut at = points(line, &line.mean, piece, field);
            match at.as_slice() {
                [(x, y)] => {
                    canvas.rect((x - 1.5, y - 1.5), (3.0, 3.0), 1.5, paint);
                }
                _ => {
                    thin_out(&mut at);
                    canvas.stroke(at, weight, dashes, paint);
                }
            }
        }
    }
}

/// Points on the straight line between their neighbours draw nothing.
fn thin_out(points: &mut Vec<Point>) {
    let mut kept = 1;
    for i in 1..points.len().saturating_sub(1) {
        let ((_, a), (_, b), (_, c)) = (points[kept - 1], points[i], points[i + 1]);
        if a == b && b == c {
            continue;
        }
        points[kept] = points[i];
        kept += 1;
    }
    if let Some(last) = points.last().copied().filter(|_| points.len() > 1) {
        points[kept] = last;
        points.truncate(kept + 1);
    }
}

fn stacked(canvas: &mut Canvas, chart: &Chart, field: &Field) {
    let stack = stack(&chart.lines);
    for (number, line) in stack.iter().enumerate() {
        let (paint, _) = look(&chart.lines[number].name, number, canvas.palette);
        for piece in line.pieces() {
            let upper = points(line, &line.mean, piece.clone(), field);
            let lower = match number.checked_sub(1).and_then(|below| stack.get(below)) {
                Some(below) => points(line, &below.mean, piece, field),
                None => upper.iter().map(|(x, _)| (*x, field.y(0.0))).collect(),
            };
            let paint = paint.faint(150);
            canvas.shapes.push(Shape::Area { upper, lower, paint });
        }
    }
    for (number, line) in stack.iter().enumerate() {
        let (paint, dashes) = look(&chart.lines[number].name, number, canvas.palette);
        for piece in line.pieces() {
            let at = points(line, &line.mean, piece, field);
            canvas.stroke(at, 1.1, dashes, paint);
        }
    }
}

fn thresholds(canvas: &mut Canvas, chart: &Chart, field: &Field) {
    let palette = canvas.palette;
    for value in chart.thresholds.iter().filter(|v| v.is_finite()) {
        if !(field.low..=field.high).contains(value) {
            continue;
        }
        let y = crisp(field.y(*value));
        let paint = palette.bad;
        canvas.stroke(vec![(field.left, y), (field.right, y)], 1.2, Some([5.0, 4.0]), paint);
        let text = chart.unit.format(*value);
        let wide = wide(&text, SMALL, false) + 8.0;
        let (x, top) = free_place(chart, field, y, wide);
        let back = palette.background.faint(220);
        canvas.rect((x, top), (wide, LABEL), 3.0, back);
        canvas.text((x + wide - 4.0, top + 11.5), Anchor::End, paint, text);
    }
}

/// The height of the label of a threshold.
const LABEL: f32 = 15.0;

/// Where the label of the threshold at `y` covers least of the lines and marks: at the right or left end
/// of the threshold, above or below it. The left and upper edge of the label.
fn free_place(chart: &Chart, field: &Field, y: f32, wide: f32) -> Point {
    let stacked = chart.stacked.then(|| stack(&chart.lines));
    let lines = stacked.as_deref().unwrap_or(&chart.lines);
    let covered = |&(left, top): &Point| {
        let inside = |x: f32| x >= left - 2.0 && x <= left + wide + 2.0;
        let of_line = |line: &Line| {
            let places = line.ts.iter().zip(&line.mean).filter(|(ts, _)| inside(field.x(**ts)));
            places.filter(|(_, v)| (top - 2.0..=top + LABEL + 2.0).contains(&field.y(**v))).count()
        };
        let marks = chart.marks.iter().filter(|mark| inside(field.x(mark.ts))).count();
        lines.iter().map(of_line).sum::<usize>() + marks
    };
    let mut places = Vec::with_capacity(4);
    for x in [field.right - wide, field.left + 2.0] {
        if y - field.top > LABEL + 3.0 {
            places.push((x, y - LABEL - 2.0));
        }
        if field.bottom - y > LABEL + 3.0 {
            places.push((x, y + 3.0));
        }
    }
    places.into_iter().min_by_key(covered).unwrap_or((field.right - wide, y + 3.0))
}

/// Draws upright lines, and their words above the plot if there is room.
fn marks(canvas: &mut Canvas, chart: &Chart, field: &Field) {
    let palette = canvas.palette;
    let mut free = f32::MIN;
    let places: Vec<f32> = chart.marks.iter().map(|m| field.x(m.ts)).collect();
    for (i, mark) in chart.marks.iter().enumerate() {
        let x = crisp(places[i]);
        let paint = if mark.bad { palette.bad } else { palette.muted };
        canvas.stroke(
            vec![(x, field.top - 4.0), (x, field.bottom)],
            1.0,
            Some([3.0, 3.0]),
            paint.faint(190),
        );
        canvas.rect((x - 2.5, field.top - 6.5), (5.0, 5.0), 2.5, paint);
        // The word reaches up to the next mark or the edge; it is written to the left where there is no
        // room, or not enough, and there is enough on the left.
        let next = places.get(i + 1).copied().unwrap_or(f32::MAX);
        let before = i.checked_sub(1).map_or(f32::MIN, |i| places[i] + 8.0);
        let end = (field.right + MARGIN).min(next - 8.0);
        let (to_left, to_right) = (x - 12.0 - free.max(before).max(field.left), end - x - 6.0);
        let whole = wide(&mark.text, SMALL, false) * SLACK;
        let left = to_right < 34.0 || (to_right < whole && to_left >= whole);
        let room = if left { to_left } else { to_right };
        let text = letters::cut(&mark.text, room.min(180.0) / SLACK, SMALL, false);
        let short = text.chars().count() < mark.text.chars().count().min(4);
        if short || (!left && x < free) {
            continue;
        }
        if left {
            canvas.text((x - 6.0, field.top - 3.0), Anchor::End, paint, text);
            continue;
        }
        free = x + 6.0 + wide(&text, SMALL, false) + 8.0;
        canvas.text((x + 6.0, field.top - 3.0), Anchor::Start, paint, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Mark;

    /// The words above the plot for marks at these places (0 to 1 of the width), with the columns
    /// where each begins and ends, and the places of dots.
    fn above(places: &[f64]) -> (Vec<(String, f32, f32)>, Vec<f32>) {
        let hour = |p: &f64| (p * 3_600_000.0) as i64;
        let mark = |p: &f64| Mark { ts: hour(p), text: format!("mark {p}"), bad: false };
        let marks = places.iter().map(mark).collect();
        let chart = Chart { to: 3_600_000, marks, ..Chart::default() };
        let (mut texts, mut dots) = (Vec::new(), Vec::new());
        for shape in picture(&chart, &Frame::default()).shapes {
            match shape {
                Shape::Text(t) if t.text.starts_with("mark") => {
                    let wide = wide(&t.text, t.size, t.bold);
                    let from = if t.anchor == Anchor::End { t.at.0 - wide } else { t.at.0 };
                    texts.push((t.text, from, from + wide));
                }
                Shape::Rect { at, size: (5.0, 5.0), .. } => dots.push(at.0 + 2.5),
                _ => {}
            }
        }
        (texts, dots)
    }

    #[test]
    fn what_happened_is_written_where_it_hides_nothing() {
        for (places, written) in [
            (&[0.1, 0.5][..], &["mark 0.1", "mark 0.5"][..]),
            (&[0.5, 0.98], &["mark 0.5", "mark 0.98"]),
            // Of several close marks the first one, to its left.
            (&[0.5, 0.52], &["mark 0.5", "mark 0.52"]),
            (&[0.97, 0.985], &["mark 0.97"]),
            (&[0.97, 0.98, 0.99, 1.0], &["mark 0.97"]),
            (&[0.0, 0.01], &["mark 0.01"]),
        ] {
            let (texts, dots) = above(places);
            assert_eq!(dots.len(), places.len());
            assert_eq!(texts.iter().map(|t| &*t.0).collect::<Vec<_>>(), written, "{places:?}");
            for (text, from, to) in &texts {
                assert!(*from >= 0.0 && *to <= 800.0, "{text} is cut off");
                assert!(dots.iter().all(|x| x + 2.5 < *from || x - 2.5 > *to), "{text} on a dot");
            }
            assert!(texts.windows(2).all(|t| t[0].2 < t[1].1), "one on another: {texts:?}");
        }
    }
}
