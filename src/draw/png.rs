//! draw: shapes -> PNG: filled and stroked by tiny-skia, lettered by ab_glyph, packed by flate2.

use std::io::Write;

use ab_glyph::{Font, Point as Place, ScaleFont};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint as Brush, Path, PathBuilder, Pixmap, Rect, Stroke,
    StrokeDash, Transform,
};

use super::canvas::{Anchor, Point, Shape, Text};
use super::layout::Picture;
use super::letters;
use super::palette::Paint;

/// Pixels of the largest picture: 32 MB while it is painted.
pub const MOST_PIXELS: u64 = 8_000_000;

/// The picture as a PNG file, `scale` times as large in each direction: 2 for screens with small
/// pixels. Nothing for one without pixels, or with more than [`MOST_PIXELS`].
pub fn png(picture: &Picture, scale: f32) -> Option<Vec<u8>> {
    png_while(picture, scale, || true)
}

/// Makes a PNG as long as `goes_on` returns true, which is asked between shapes and during
/// compression; `None` otherwise.
pub fn png_while(
    picture: &Picture,
    scale: f32,
    mut goes_on: impl FnMut() -> bool,
) -> Option<Vec<u8>> {
    let pixels = |size: u32| (size as f32 * scale).round() as u32;
    let (width, height) = (pixels(picture.width), pixels(picture.height));
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return None;
    }
    let mut pixmap = Pixmap::new(width, height)?;
    let [r, g, b] = picture.background.rgb;
    pixmap.fill(tiny_skia::Color::from_rgba8(r, g, b, 255));
    let transform = Transform::from_scale(scale, scale);
    for shape in &picture.shapes {
        if !goes_on() {
            return None;
        }
        paint(&mut pixmap, shape, transform, scale);
    }
    packed(&pixmap, goes_on)
}

fn brush(paint: Paint) -> Brush<'static> {
    let [r, g, b] = paint.rgb;
    let mut brush = Brush::default();
    brush.set_color_rgba8(r, g, b, paint.alpha);
    brush.anti_alias = true;
    brush
}

fn paint(pixmap: &mut Pixmap, shape: &Shape, transform: Transform, scale: f32) {
    match shape {
        Shape::Rect { at, size, radius, paint } => {
            if let Some(path) = rounded(*at, *size, *radius) {
                pixmap.fill_path(&path, &brush(*paint), FillRule::Winding, transform, None);
            }
        }
        Shape::Stroke { points, width, dashes, paint } => {
            let mut path = PathBuilder::new();
            trace(&mut path, points.iter(), true);
            let dash = dashes.and_then(|d| StrokeDash::new(d.to_vec(), 0.0));
            let stroke = Stroke {
                width: *width,
                line_join: LineJoin::Round,
                line_cap: LineCap::Butt,
                dash,
                ..Stroke::default()
            };
            if let Some(path) = path.finish() {
                pixmap.stroke_path(&path, &brush(*paint), &stroke, transform, None);
            }
        }
        Shape::Area { upper, lower, paint } => {
            let mut path = PathBuilder::new();
            trace(&mut path, upper.iter(), true);
            trace(&mut path, lower.iter().rev(), false);
            path.close();
            if let Some(path) = path.finish() {
                pixmap.fill_path(&path, &brush(*paint), FillRule::Winding, transform, None);
            }
        }
        Shape::Text(text) => letter(pixmap, text, scale),
    }
}

fn trace<'a>(path: &mut PathBuilder, points: impl Iterator<Item = &'a Point>, begins: bool) {
    for (i, (x, y)) in points.enumerate() {
        if i == 0 && begins { path.move_to(*x, *y) } else { path.line_to(*x, *y) }
    }
}

fn rounded((x, y): Point, (w, h): Point, radius: f32) -> Option<Path> {
    let r = radius.min(w / 2.0).min(h / 2.0);
    if r <= 0.0 {
        return Some(PathBuilder::from_rect(Rect::from_xywh(x, y, w, h)?));
    }
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(x + w - r, y);
    path.quad_to(x + w, y, x + w, y + r);
    path.line_to(x + w, y + h - r);
    path.quad_to(x + w, y + h, x + w - r, y + h);
    path.line_to(x + r, y + h);
    path.quad_to(x, y + h, x, y + h - r);
    path.line_to(x, y + r);
    path.quad_to(x, y, x + r, y);
    path.close();
    path.finish()
}

fn letter(pixmap: &mut Pixmap, text: &Text, scale: f32) {
    let Some(font) = letters::font(text.bold) else { return };
    let size = letters::scale(font, text.size * scale);
    let scaled = font.as_scaled(size);
    let width = letters::width(&text.text, text.size, text.bold) * scale;
    let (x, y) = (text.at.0 * scale, (text.at.1 * scale).round());
    let mut x = match text.anchor {
        Anchor::Start => x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    let (columns, rows) = (pixmap.width() as i32, pixmap.height() as i32);
    let pixels = pixmap.data_mut();
    for c in text.text.chars() {
        let glyph = letters::glyph(font, c);
        let placed = glyph.with_scale_and_position(size, Place { x, y });
        x += scaled.h_advance(glyph);
        let Some(outline) = font.outline_glyph(placed) else { continue };
        let bounds = outline.px_bounds();
        let (left, top) = (bounds.min.x as i32, bounds.min.y as i32);
        outline.draw(|dx, dy, coverage| {
            let (column, row) = (left + dx as i32, top + dy as i32);
            if !(0..columns).contains(&column) || !(0..rows).contains(&row) {
                return;
            }
            let at = (row * columns + column) as usize * 4;
            let part = coverage.clamp(0.0, 1.0) * f32::from(text.paint.alpha) / 255.0;
            // The background is opaque, so no division by the opacity is needed.
            for (pixel, ink) in pixels[at..at + 3].iter_mut().zip(text.paint.rgb) {
                let mixed = f32::from(*pixel) * (1.0 - part) + f32::from(ink) * part;
                *pixel = mixed.round() as u8;
            }
        });
    }
}

/// Eight bits of red, green and blue; each row as its difference to the one above, which is mostly
/// nothing.
fn packed(pixmap: &Pixmap, mut goes_on: impl FnMut() -> bool) -> Option<Vec<u8>> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let stride = width as usize * 3;
    let mut above = vec![0u8; stride];
    let mut row = vec![0u8; stride];
    let mut line = vec![0u8; stride + 1];
    let mut zlib = ZlibEncoder::new(Vec::with_capacity(64 << 10), Compression::new(6));
    for pixels in pixmap.data().chunks_exact(width as usize * 4) {
        for (to, from) in row.chunks_exact_mut(3).zip(pixels.chunks_exact(4)) {
            to.copy_from_slice(&from[..3]);
        }
        if !goes_on() {
            return None;
        }
        line[0] = 2;
        for (i, byte) in row.iter().enumerate() {
            line[i + 1] = byte.wrapping_sub(above[i]);
        }
        zlib.write_all(&line).ok()?;
        std::mem::swap(&mut above, &mut row);
    }
    let data = zlib.finish().ok()?;
    let mut out = Vec::with_capacity(data.len() + 64);
    out.extend_from_slice(b"\x89PNG\r\n\x1a\n");
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    for (name, data) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let start = out.len();
        out.extend_from_slice(name);
        out.extend_from_slice(data);
        let sum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
    }
    Some(out)
}
