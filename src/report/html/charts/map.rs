//! Where an end can be: discs of the round trip against the places that are claimed.
//!
//! Owns: the discs on the map. In: the sensor's place, addresses with a round trip. Out: a figure.
//! Never: a place: a round trip bounds a distance only.

use std::f64::consts::PI;
use std::fmt::Write;

use crate::model::physics::{
    EARTH_RADIUS_KM, KM_PER_RTT_MS_FIBRE, KM_PER_RTT_MS_VACUUM, distance_km,
};
use crate::model::units;
use crate::report::html::dossier::{Address, Dossier};
use crate::report::html::markup::Html;
use crate::report::html::svg::Figure;
use crate::report::html::table::{Cell, Table};
use crate::report::html::words::km;

/// The coast lines of the Earth, one path, in quarters of a degree from 180 W and 90 N;
/// geo/README.md says where they are from.
pub(in crate::report::html) const LAND_PATH: &str = include_str!("../../../../geo/land-110m.path");

/// They stand once in a page; each map refers to them.
pub(in crate::report::html) fn land() -> String {
    let up = (90.0 - NORTH) * UNITS;
    format!(
        "<svg class=\"hidden\" aria-hidden=\"true\"><defs><path id=\"land\" \
         transform=\"translate(0 -{up})\" d=\"{}\"/></defs></svg>\n",
        LAND_PATH.replace('\n', "")
    )
}

/// Units of the drawing of a degree.
const UNITS: f64 = 4.0;
const WIDTH: f64 = 360.0 * UNITS;
/// Latitudes that are drawn: what lies outside is ice.
const NORTH: f64 = 84.0;
const SOUTH: f64 = -60.0;
/// Rows of a disc.
const STEPS: u32 = 48;
/// Most addresses with a mark and a row.
const ADDRESSES_MAX: usize = 12;

/// The figure, if the sensor's place and a round trip are known.
pub(in crate::report::html) fn figure(
    dossier: &Dossier,
    sensor: Option<(f64, f64)>,
    id: &str,
) -> Option<Html> {
    let sensor = sensor?;
    let ranked = dossier.ranked();
    let measured: Vec<&(&str, &Address)> =
        ranked.iter().filter(|(_, of)| of.rtt_us.is_some() && of.centre.is_some()).collect();
    let (ip, address) = measured.first()?;
    let ms = address.rtt_us? / 1_000.0;
    let (fibre, vacuum) = (ms * KM_PER_RTT_MS_FIBRE, ms * KM_PER_RTT_MS_VACUUM);
    let mut drawing = Html::default();
    drawing.raw("<use href=\"#land\" class=\"land\"/>");
    for (class, radius) in [("c", vacuum), ("f", fibre)] {
        let (area, edge) = disc(sensor, radius);
        drawing.raw(format_args!("<path class=\"disc {class}\" d=\"{area}\"/>"));
        drawing.raw(format_args!("<path class=\"edge {class}\" d=\"{edge}\"/>"));
    }
    let mut table = Table::new(
        "Round trips from the sensor, how far they reach, and the places that databases give",
        &[
            "Address",
            "Round trip (ms)",
            "Sessions measured",
            "At 2/3 c (km)",
            "At c (km)",
            "Place by the database",
            "Distance to it (km)",
            "Refuted",
        ],
    );
    let shown: Vec<_> = measured.iter().take(ADDRESSES_MAX).collect();
    for (address_ip, of) in shown.iter().rev() {
        if let Some(at) = of.centre.map(point) {
            put_mark(at, of.refuted.geo, &mut drawing);
            if address_ip == ip {
                put_line(point(sensor), at, of.refuted.geo, &mut drawing);
            }
        }
    }
    shown.iter().for_each(|(ip, of)| table.row(cells(ip, of, sensor)));
    let (x, y) = point(sensor);
    drawing
        .raw(format_args!("<path class=\"sensor\" d=\"M{:.0} {y:.0}h28m-14-14v28\"/>", x - 14.0));
    let text = format!(
        "Discs of the lowest round trip to {ip}, {} over {}: what answers there is within {} of \
         the sensor by fibre (2/3 c), certainly within {} (c). The database places it {} away: {}. \
         Marks: {} of {} addresses with \
         a round trip and a place.",
        units::millis((ms * 1e6) as u64),
        units::number_of(address.samples as usize, "session"),
        reach(fibre),
        reach(vacuum),
        address.geo_km.map_or("at an unknown distance".to_owned(), km),
        if address.refuted.geo { "refuted" } else { "not refuted, which does not confirm it" },
        shown.len(),
        units::count(measured.len() as u64),
    );
    let key = [
        ("disc f", "within 2/3 c"),
        ("disc c", "within c"),
        ("sensor", "sensor"),
        ("bad", "database place, refuted"),
        ("good", "database place, not refuted"),
    ];
    let (id, size) = (format!("{id}-map"), (WIDTH, (NORTH - SOUTH) * UNITS));
    Some(Figure { id, title: "Map: how far away", text, size, key: &key, drawing, table }.html())
}

/// A radius in words; one that bounds nothing says so.
fn reach(radius: f64) -> String {
    if radius >= PI * EARTH_RADIUS_KM { "all of the Earth".to_owned() } else { km(radius) }
}

fn cells(ip: &str, of: &Address, sensor: (f64, f64)) -> Vec<Cell> {
    let ms = of.rtt_us.map(|us| us / 1_000.0);
    let km = of.geo_km.or_else(|| of.centre.map(|at| distance_km(sensor, at)));
    vec![
        Cell::Text(ip.to_owned()),
        Cell::millis(of.rtt_us),
        Cell::count(of.samples),
        Cell::digits(ms.map(|ms| ms * KM_PER_RTT_MS_FIBRE), 0),
        Cell::digits(ms.map(|ms| ms * KM_PER_RTT_MS_VACUUM), 0),
        Cell::text(of.place.clone()),
        Cell::digits(km, 0),
        Cell::Text(if of.refuted.geo { "yes" } else { "no" }.to_owned()),
    ]
}

/// Degrees north and east to units of the drawing.
fn point((lat, lon): (f64, f64)) -> (f64, f64) {
    ((lon + 180.0) * UNITS, (NORTH - lat.clamp(SOUTH, NORTH)) * UNITS)
}

fn put_mark((x, y): (f64, f64), is_refuted: bool, drawing: &mut Html) {
    if is_refuted {
        let path = format!("M{x:.0} {:.0}l14 14-14 14-14-14z", y - 14.0);
        drawing.raw(format_args!("<path class=\"bad\" d=\"{path}\"/>"));
    } else {
        drawing.raw(format_args!("<circle class=\"good\" cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"10\"/>"));
    }
}

fn put_line(from: (f64, f64), to: (f64, f64), is_refuted: bool, drawing: &mut Html) {
    let class = if is_refuted { "claim no" } else { "claim" };
    let ((x1, y1), (x2, y2)) = (from, to);
    drawing.raw(format_args!("<path class=\"{class}\" d=\"M{x1:.0} {y1:.0}L{x2:.0} {y2:.0}\"/>"));
}

/// The points within a distance of another: area and edge. Its rows are parallels: the half width
/// of each follows from the spherical law of cosines, so that poles need no case of their own. What
/// crosses 180 E is drawn again on the other side.
fn disc((lat, lon): (f64, f64), radius_km: f64) -> (String, String) {
    let angle = (radius_km / EARTH_RADIUS_KM).clamp(0.0, PI);
    let (south, north) = (lat - angle.to_degrees(), lat + angle.to_degrees());
    let (low, high) = (south.clamp(SOUTH, NORTH), north.clamp(SOUTH, NORTH));
    let mut sides = Vec::new();
    for step in 0..=STEPS {
        let row = low + (high - low) * f64::from(step) / f64::from(STEPS);
        let half = half_width(lat.to_radians(), row.to_radians(), angle).to_degrees();
        sides.push((row, half));
    }
    let (mut path, mut edge) = (String::new(), String::new());
    let reaches = |side: f64| sides.iter().any(|(_, half)| (lon + side * half).abs() > 180.0);
    let mut shifts = vec![0.0];
    shifts.extend([(1.0, -360.0), (-1.0, 360.0)].iter().filter(|of| reaches(of.0)).map(|of| of.1));
    for shift in shifts {
        let right = sides.iter().map(|(row, half)| (*row, lon + shift + half));
        let left = sides.iter().rev().map(|(row, half)| (*row, lon + shift - half));
        for (at, place) in right.chain(left).enumerate() {
            let (x, y) = point(place);
            let letter = if at == 0 { 'M' } else { 'L' };
            // Writing into a String cannot fail.
            let _ = write!(path, "{letter}{x:.0} {y:.0}");
        }
        path.push('Z');
        put_edge(&sides, lon + shift, 1.0, &mut edge);
        put_edge(&sides, lon + shift, -1.0, &mut edge);
    }
    (path, edge)
}

/// One side of a disc's edge: a parallel that lies within the disc all around has none, but the
/// edge begins and ends there.
fn put_edge(sides: &[(f64, f64)], lon: f64, sign: f64, edge: &mut String) {
    let is_open = |side: &(f64, f64)| side.1 < 180.0;
    let is_tip = |side: &(f64, f64)| side.1 <= 0.0 && (side.0 <= SOUTH || side.0 >= NORTH);
    let mut letter = 'M';
    for (at, side) in sides.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| sides.get(at));
        let beside = [before, sides.get(at + 1)].into_iter().flatten().any(is_open);
        if is_tip(side) || !is_open(side) && !beside {
            letter = 'M';
            continue;
        }
        let (x, y) = point((side.0, lon + sign * side.1));
        // Writing into a String cannot fail.
        let _ = write!(edge, "{letter}{x:.0} {y:.0}");
        letter = 'L';
    }
}

/// Half of the longitudes of a parallel that lie within an angle of a point.
fn half_width(lat: f64, row: f64, angle: f64) -> f64 {
    let over = angle.cos() - lat.sin() * row.sin();
    let under = lat.cos() * row.cos();
    if under.abs() < 1e-9 {
        return if over <= 0.0 { PI } else { 0.0 };
    }
    (over / under).clamp(-1.0, 1.0).acos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each corner of a disc lies at its radius, or at the edge of the map.
    #[test]
    fn a_disc_holds_what_is_within_its_radius() {
        for sensor in [(39.04, -77.49), (0.0, 179.0), (-33.9, 151.2), (64.1, -21.9)] {
            for radius in [300.0, 2_000.0, 9_000.0] {
                let (path, _) = disc(sensor, radius);
                let numbers = path.split(['M', 'L', 'Z', ' ']).filter_map(|n| n.parse().ok());
                let numbers: Vec<f64> = numbers.collect();
                assert!(numbers.len() >= 4, "{path}");
                for pair in numbers.chunks_exact(2) {
                    let place = (NORTH - pair[1] / UNITS, pair[0] / UNITS - 180.0);
                    let at_edge = place.0 > NORTH - 1.0 || place.0 < SOUTH + 1.0;
                    let away = distance_km(sensor, place);
                    // A parallel that lies within the disc all around.
                    let around = ((place.1 - sensor.1).abs() % 360.0 - 180.0).abs() < 0.5;
                    assert!(
                        at_edge || around || (away - radius).abs() < 60.0,
                        "{sensor:?} {radius}: {place:?} is {away:.0} km away"
                    );
                }
            }
        }
    }

    #[test]
    fn a_disc_without_bound_covers_the_map() {
        assert_eq!(half_width(0.5, -0.9, PI), PI);
        assert_eq!(half_width(0.5, 0.5, 0.0), 0.0);
        let (all, edge) = disc((39.0, -77.0), 30_000.0);
        assert_eq!(edge, "");
        assert!(all.contains(&format!("M{:.0} ", (180.0 + 103.0) * UNITS)), "{all}");
    }
}
