//! The picture: the Mandelbrot set in tiles, and the PNG that they make.

use serde::{Deserialize, Serialize};

/// What a side of the picture may measure in pixels; it is all in memory.
pub(crate) const SIDE_MAX: u32 = 8192;

/// The side of a tile: a few milliseconds of work in most of them.
const TILE: u32 = 64;

/// Steps after which a point that has not left is taken to be in the set.
const STEPS_MAX: u32 = 5000;

/// The part of the plane that is shown, whatever the picture's shape: middle, width, height.
const MIDDLE: (f64, f64) = (-0.75, 0.0);
const EXTENT: (f64, f64) = (3.5, 2.5);

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A rectangle of the picture.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Tile {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

impl Picture {
    /// Returns the tiles, row by row.
    pub(crate) fn tiles(self) -> Vec<Tile> {
        let starts = |side: u32| (0..side).step_by(TILE as usize);
        let tile = |left, top| Tile {
            left,
            top,
            width: TILE.min(self.width - left),
            height: TILE.min(self.height - top),
        };
        starts(self.height)
            .flat_map(|top| starts(self.width).map(move |left| tile(left, top)))
            .collect()
    }

    /// Renders one tile: a colour's number for each pixel, row by row.
    pub(crate) fn render(self, tile: Tile) -> Vec<u8> {
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let pixel = (EXTENT.0 / width).max(EXTENT.1 / height);
        let mut colours = Vec::with_capacity((tile.width * tile.height) as usize);
        for row in tile.top..tile.top + tile.height {
            let y = MIDDLE.1 + (height / 2.0 - f64::from(row) - 0.5) * pixel;
            for column in tile.left..tile.left + tile.width {
                let x = MIDDLE.0 + (f64::from(column) + 0.5 - width / 2.0) * pixel;
                colours.push(colour(x, y));
            }
        }
        colours
    }

    /// Puts the rendered tiles in their places.
    pub(crate) fn assemble(self, tiles: &[Tile], rendered: &[Vec<u8>]) -> Vec<u8> {
        let mut pixels = vec![0; self.width as usize * self.height as usize];
        for (tile, colours) in tiles.iter().zip(rendered) {
            let rows = pixels.chunks_exact_mut(self.width as usize).skip(tile.top as usize);
            for (row, colours) in rows.zip(colours.chunks_exact(tile.width as usize)) {
                row[tile.left as usize..][..colours.len()].copy_from_slice(colours);
            }
        }
        pixels
    }

    /// Encodes the picture as PNG.
    pub(crate) fn png(self, pixels: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette());
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(pixels)?;
            writer.finish()
        });
        // Memory takes all that is written, so this is a mistake of the program.
        written.expect("the pixels fill the picture");
        file
    }
}

/// Returns 0 for a point of the set, and else a number that grows as the point takes longer to
/// leave, and starts again at 1 behind 255.
fn colour(x: f64, y: f64) -> u8 {
    let (mut re, mut im) = (0.0, 0.0);
    for step in 0..STEPS_MAX {
        let (re2, im2) = (re * re, im * im);
        if re2 + im2 > 256.0 {
            // The fraction of a step, so that there are no bands.
            let steps = f64::from(step) + 1.0 - f64::log2(f64::ln(re2 + im2) / 2.0);
            return 1 + ((f64::ln(steps.max(1.0)) * 70.0) as u32 % 255) as u8;
        }
        im = 2.0 * re * im + y;
        re = re2 - im2 + x;
    }
    0
}

/// Returns the colours, three bytes each: black, then once around through blue, white and gold.
fn palette() -> Vec<u8> {
    let channel = |turn: f64, phase: f64| {
        let wave = f64::cos(std::f64::consts::TAU * (turn - phase));
        (127.5 * (1.0 + wave)) as u8
    };
    let colour = |number: u32| {
        let turn = f64::from(number) / 255.0;
        [channel(turn, 0.58), channel(turn, 0.5), channel(turn, 0.38)]
    };
    [[0; 3]].into_iter().chain((1..=255).map(colour)).flatten().collect()
}
