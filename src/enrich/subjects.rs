//! Who uses an address: the subjects file.
//!
//! Owns: the reading of `match,id,name,place,radius_km`. In: a CSV file. Out: the subject of an
//! address, longest prefix first.
//! Never: MAC addresses or user names (identity evidence does those).

use std::path::Path;
use std::sync::Arc;

use crate::enrich::lpm::Prefix;
use crate::enrich::lpm::PrefixSet;
use crate::enrich::physics::Circle;
use crate::enrich::physics::RADIUS_KM_SUBJECT;
use crate::enrich::places::parse_place;
use crate::model::Addr;
use crate::model::Error;

/// Half the way round the Earth in km: a circle of that radius is all of it.
const HALF_ROUND_KM: f64 = 20_015.0;

/// Most errors reported of one file.
const ERRORS_MAX: usize = 100;

/// An employee or asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Stable id.
    pub id: Arc<str>,
    /// Name for people.
    pub name: Option<Arc<str>>,
    /// Where they say they are.
    pub place: Option<Circle>,
}

/// Every subject of a run. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    by_prefix: PrefixSet<Subject>,
}

impl Subjects {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Subjects, Vec<Error>> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            vec![
                Error::new("subjects file", e.to_string())
                    .at(path, 0)
                    .help("give a readable UTF-8 CSV file with the header match,id,name"),
            ]
        })?;
        Subjects::parse(path, &text)
    }

    /// Reads a file's text; `path` is for messages. Every bad line is an error.
    pub fn parse(path: &Path, text: &str) -> Result<Subjects, Vec<Error>> {
        let mut lines = (1u32..)
            .zip(text.trim_start_matches('\u{feff}').lines())
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let refuse = |cause: String, line| {
            Error::new("subjects file", cause).at(path, line).help("write: 192.0.2.0/24,id,Name")
        };
        let header = lines.next().and_then(|(_, line)| columns(line)).unwrap_or_default();
        let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
        let (Some(at_match), Some(at_id)) = (column("match"), column("id")) else {
            return Err(vec![refuse("the first line is not the header `match,id,name`".into(), 1)]);
        };
        let at_name = column("name");
        let at_place = (column("place"), column("radius_km"));
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for (number, line) in lines {
            let Some(fields) = columns(line) else {
                errors.push(refuse("a quote is not closed on its line".into(), number));
                continue;
            };
            let field = |at: usize| fields.get(at).map(|f| f.trim()).filter(|f| !f.is_empty());
            let (Some(network), Some(id)) = (field(at_match), field(at_id)) else {
                errors.push(refuse("the line has no address or no id".into(), number));
                continue;
            };
            let place = circle(at_place.0.and_then(field), at_place.1.and_then(field));
            match (Prefix::parse(network), place) {
                (Ok(prefix), Ok(place)) => {
                    let name = at_name.and_then(field).map(Arc::from);
                    entries.push((prefix, Subject { id: id.into(), name, place }));
                }
                (Err(cause), _) | (_, Err(cause)) => errors.push(refuse(cause, number)),
            }
        }
        errors.truncate(ERRORS_MAX);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Subjects { by_prefix: PrefixSet::build(entries) })
    }

    /// The subject of an address: the longest prefix that holds it.
    pub fn of(&self, addr: Addr) -> Option<&Subject> {
        self.by_prefix.longest(addr)
    }
}

/// The place of a line: `LAT,LON` or a city code, and the radius around it.
fn circle(place: Option<&str>, radius: Option<&str>) -> Result<Option<Circle>, String> {
    let Some(place) = place else { return Ok(None) };
    let place = parse_place(place).map_err(|error| error.cause.to_string())?;
    let radius_km = match radius.map(|text| (text, text.parse::<f64>())) {
        None => RADIUS_KM_SUBJECT,
        Some((_, Ok(km))) if (0.0..=HALF_ROUND_KM).contains(&km) => km,
        Some((text, _)) => return Err(format!("`{text}` is no radius from 0 to 20015 km")),
    };
    Ok(Some(Circle { centre: (place.latitude, place.longitude), radius_km }))
}

/// Fields of a CSV line (RFC 4180 section 2, without line breaks inside quotes); `None` where a
/// quote is not closed.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut fields, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => push(&mut fields, c),
        }
    }
    (!quoted).then_some(fields)
}

fn push(fields: &mut [String], c: char) {
    if let Some(field) = fields.last_mut() {
        field.push(c);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn the_longest_prefix_names_the_subject() {
        let text = "match,id,name\n10.0.0.0/8,office,\n10.1.2.3,e-7,\"Doe, Jane\"\n\
                    2001:db8::/64,e-8,Ann\n";
        let subjects = Subjects::parse(Path::new("s.csv"), text).unwrap();
        let jane = subjects.of(addr("10.1.2.3")).unwrap();
        assert_eq!((&*jane.id, jane.name.as_deref()), ("e-7", Some("Doe, Jane")));
        assert_eq!(subjects.of(addr("10.9.9.9")).unwrap().name, None);
        assert_eq!(&*subjects.of(addr("2001:db8::9")).unwrap().id, "e-8");
        assert!(subjects.of(addr("192.0.2.1")).is_none());
    }

    #[test]
    fn a_place_is_a_code_or_coordinates_with_a_radius() {
        let text = "match,id,place,radius_km\n10.0.0.1,a,PHX,\n10.0.0.2,b,\"33.4484,-112.074\",5\n\
                    10.0.0.3,c,,9\n";
        let subjects = Subjects::parse(Path::new("s.csv"), text).unwrap();
        let place = |ip| subjects.of(addr(ip)).unwrap().place;
        let phoenix = place("10.0.0.1").unwrap();
        assert!((phoenix.centre.0 - 33.4).abs() < 0.2 && phoenix.radius_km == RADIUS_KM_SUBJECT);
        let exact = Circle { centre: (33.4484, -112.074), radius_km: 5.0 };
        assert_eq!((place("10.0.0.2"), place("10.0.0.3")), (Some(exact), None));
        for bad in ["10.0.0.1,a,XQZ,", "10.0.0.1,a,PHX,-1", "10.0.0.1,a,PHX,far"] {
            let text = format!("match,id,place,radius_km\n{bad}\n");
            let errors = Subjects::parse(Path::new("s.csv"), &text).unwrap_err();
            assert_eq!(errors.len(), 1, "{bad}");
        }
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "match,id,name\n10.0.0.1/8,a,\n,b,\n10.0.0.1,,\n10.0.0.1,c,\n10.0.0.2,d,\"Doe\n";
        let errors = Subjects::parse(Path::new("s.csv"), text).unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|e| e.place.as_ref().unwrap().1).collect();
        assert_eq!(lines, [2, 3, 4, 6]);
        assert!(Subjects::parse(Path::new("s.csv"), "10.0.0.1,c,d\n").is_err());
        assert!(Subjects::parse(Path::new("s.csv"), "").is_err());
    }
}
