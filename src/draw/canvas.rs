//! draw: the shapes of a picture, and the canvas that collects them.

use super::letters;
use super::palette::{MEANT, Paint, Palette};

pub(super) type Point = (f32, f32);

/// The place of a text relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) at: Point,
    pub(super) size: f32,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
    pub(super) paint: Paint,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Rect {
        at: Point,
        size: Point,
        radius: f32,
        paint: Paint,
    },
    Stroke {
        points: Vec<Point>,
        width: f32,
        dashes: Option<[f32; 2]>,
        paint: Paint,
    },
    /// Between two lines of points that have the same number.
    Area {
        upper: Vec<Point>,
        lower: Vec<Point>,
        paint: Paint,
    },
    Text(Text),
}

pub(super) const SLACK: f32 = 1.06;

pub(super) const MARGIN: f32 = 14.0;

pub(super) const SMALL: f32 = 11.5;

/// Width of a text in a picture: SVG may be shown in a font that is a little wider.
pub(super) fn wide(text: &str, size: f32, bold: bool) -> f32 {
    letters::width(text, size, bold) * SLACK
}

/// A canvas that collects shapes.
pub(super) struct Canvas {
    pub(super) shapes: Vec<Shape>,
    pub(super) palette: &'static Palette,
}

impl Canvas {
    pub(super) fn text(
        &mut self,
        at: Point,
        anchor: Anchor,
        paint: Paint,
        text: impl Into<String>,
    ) {
        let (text, size) = (text.into(), SMALL);
        self.shapes.push(Shape::Text(Text { at, size, bold: false, anchor, paint, text }));
    }

    pub(super) fn rect(&mut self, at: Point, size: Point, radius: f32, paint: Paint) {
        self.shapes.push(Shape::Rect { at, size, radius, paint });
    }

    pub(super) fn stroke(
        &mut self,
        points: Vec<Point>,
        width: f32,
        dashes: Option<[f32; 2]>,
        paint: Paint,
    ) {
        self.shapes.push(Shape::Stroke { points, width, dashes, paint });
    }
}

/// How the line with this name and number looks: colours first, then dashes.
pub(super) fn look(name: &str, number: usize, palette: &Palette) -> (Paint, Option<[f32; 2]>) {
    let dashes = match number / palette.lines.len() % 4 {
        0 => None,
        1 => Some([6.0, 3.0]),
        2 => Some([2.0, 3.0]),
        _ => Some([10.0, 3.0]),
    };
    let place = MEANT.iter().find(|(of, _)| *of == name).map_or(number, |(_, place)| *place);
    (palette.lines[place % palette.lines.len()], dashes)
}
