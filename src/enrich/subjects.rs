//! The subjects file: which employee or asset uses an address.
//!
//! Owns: the parsing of its columns. In: a CSV file. Out: the subject of a user, of a device, of an
//! address (longest prefix first).
//! Never: finds out who holds an address.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::bounded;
use crate::enrich::lpm::{Prefix, PrefixSet};
use crate::enrich::physics::{Circle, RADIUS_KM_SUBJECT};
use crate::enrich::places::parse_place;
use crate::model::addr::parse_mac;
use crate::model::record::Holder;
use crate::model::{Addr, Error, Nanos};

/// Maximum size of the file, in bytes: over a million lines.
const FILE_BYTES_MAX: u64 = 64 << 20;

const DAY_S: u64 = 86_400;

/// Half the Earth's circumference in km: a circle of that radius covers all of it.
const HALF_ROUND_KM: f64 = 20_015.0;

/// Maximum errors reported per file.
const ERRORS_MAX: usize = 100;

/// The form of a line.
const HELP: &str = "write: MATCH,ID,NAME, where MATCH is an address, a network (192.0.2.0/24), \
                    a MAC (48:da:35:60:00:01) or user:NAME";

/// All known columns.
const COLUMNS: [&str; 9] =
    ["match", "id", "name", "role", "place", "radius_km", "until", "hired", "approved"];

/// An employee or asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Stable id.
    pub id: Arc<str>,
    /// Name for people.
    pub name: Option<Arc<str>>,
    /// Job title.
    pub role: Option<Arc<str>>,
    /// When they were hired: `YYYY-MM-DD`.
    pub hired: Option<Arc<str>>,
    /// The claimed location.
    pub place: Option<Circle>,
    /// The end of the last day on which they are there; afterwards no place is claimed.
    pub until: Option<Nanos>,
    /// Tags of applications that they may use: `rmm:teamviewer`.
    pub approved: Vec<Box<str>>,
}

/// Every subject of a run. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    by_prefix: PrefixSet<Arc<Subject>>,
    by_mac: HashMap<[u8; 6], Arc<Subject>>,
    /// By user name, lower case.
    by_user: HashMap<String, Arc<Subject>>,
    /// Every tag of the column `approved`.
    approved: BTreeSet<Box<str>>,
}

/// What a line matches.
enum Match {
    Prefix(Prefix),
    Mac([u8; 6]),
    User(String),
}

impl Match {
    /// Parses `user:NAME`, a link-layer address with its separators, an address or a network.
    fn parse(text: &str) -> Result<Match, String> {
        if let Some(user) = text.strip_prefix("user:") {
            let user = user.trim().to_lowercase();
            let empty = "`user:` without a name".to_owned();
            return if user.is_empty() { Err(empty) } else { Ok(Match::User(user)) };
        }
        // At least three groups: `48da.3560.00ff`; no IP address has that form.
        let groups = text.split([':', '-', '.']).filter(|group| group.len() > 1).count();
        match parse_mac(text).filter(|_| groups >= 3) {
            Some(mac) => Ok(Match::Mac(mac)),
            None => Prefix::parse(text).map(Match::Prefix),
        }
    }
}

impl Subject {
    /// The place they claim at a time.
    pub fn place_at(&self, time: Nanos) -> Option<Circle> {
        self.place.filter(|_| self.until.is_none_or(|until| time < until))
    }
}

impl Subjects {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Subjects, Vec<Error>> {
        let text = bounded::file::read_text(path, FILE_BYTES_MAX).map_err(|cause| {
            vec![
                Error::new("subjects file", cause)
                    .at(path, 0)
                    .help("give a readable UTF-8 CSV file with the header match,id,name"),
            ]
        })?;
        Subjects::parse(path, &text)
    }

    /// Parses the text of a file; `path` is for messages. Every bad line is an error.
    pub fn parse(path: &Path, text: &str) -> Result<Subjects, Vec<Error>> {
        let mut lines = (1u32..)
            .zip(text.trim_start_matches('\u{feff}').lines())
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let refuse =
            |cause: String, line| Error::new("subjects file", cause).at(path, line).help(HELP);
        let (at, header) = lines.next().unwrap_or((1, ""));
        let header = Header::parse(header).map_err(|cause| vec![refuse(cause, at)])?;
        let (mut subjects, mut entries) = (Subjects::default(), HashMap::new());
        let mut errors = Vec::new();
        for (number, line) in lines {
            match header.read(line) {
                Ok((text, matched, subject)) => {
                    subjects.approved.extend(subject.approved.iter().cloned());
                    if subjects.take(matched, Arc::new(subject), &mut entries) {
                        errors.push(refuse(format!("`{text}` stands twice"), number));
                    }
                }
                Err(cause) => errors.push(refuse(cause, number)),
            }
        }
        errors.truncate(ERRORS_MAX);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Subjects { by_prefix: PrefixSet::build(entries.into_iter().collect()), ..subjects })
    }

    /// Stores a line. Returns whether its address, device or user was already there: who is meant
    /// then must not depend on which line comes last.
    fn take(
        &mut self,
        matched: Match,
        subject: Arc<Subject>,
        entries: &mut HashMap<Prefix, Arc<Subject>>,
    ) -> bool {
        match matched {
            Match::Prefix(prefix) => entries.insert(prefix, subject).is_some(),
            Match::Mac(mac) => self.by_mac.insert(mac, subject).is_some(),
            Match::User(user) => self.by_user.insert(user, subject).is_some(),
        }
    }

    /// Every tag of an application that some subject may use.
    pub fn approved_tags(&self) -> impl Iterator<Item = &str> {
        self.approved.iter().map(|tag| &**tag)
    }

    /// The subject of an address: that of the longest prefix containing it.
    pub fn of(&self, addr: Addr) -> Option<&Subject> {
        self.by_prefix.longest(addr).map(|subject| &**subject)
    }

    /// The subject of an address's holder: that of the user, else of the device. A user name with a
    /// domain is looked up without the domain as well.
    pub fn of_holder(&self, holder: &Holder) -> Option<&Subject> {
        let by_user =
            holder.user.as_deref().filter(|_| !self.by_user.is_empty()).and_then(|user| {
                let user = user.to_lowercase();
                let bare = user.rsplit('\\').next().and_then(|user| user.split('@').next());
                self.by_user.get(&user).or_else(|| self.by_user.get(bare?))
            });
        let by_mac = || self.by_mac.get(&holder.mac?);
        by_user.or_else(by_mac).map(|subject| &**subject)
    }
}

/// The columns in their order.
struct Header(Vec<String>);

impl Header {
    fn parse(line: &str) -> Result<Header, String> {
        let names = csv_columns(line).unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).collect();
        let missing = |name| !names.iter().any(|known| known == name);
        if missing("match") || missing("id") {
            return Err("the first line is not the header `match,id,name`".to_owned());
        }
        match names.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
            Some(name) => Err(format!("no column is called `{name}`: {}", COLUMNS.join(", "))),
            None => Ok(Header(names)),
        }
    }

    /// Parses a line: what it matches, as written and as parsed, and the subject.
    fn read(&self, line: &str) -> Result<(String, Match, Subject), String> {
        let fields = csv_columns(line).ok_or("a quote is not closed on its line")?;
        if fields.iter().skip(self.0.len()).any(|more| !more.trim().is_empty()) {
            let (have, known) = (fields.len(), self.0.len());
            return Err(format!(
                "{have} columns are more than the {known} of the header: a text with a comma in \
                 it stands in quotes"
            ));
        }
        let field = |name: &str| {
            let at = self.0.iter().position(|known| known == name)?;
            fields.get(at).map(|text| text.trim()).filter(|text| !text.is_empty())
        };
        let (Some(matched), Some(id)) = (field("match"), field("id")) else {
            return Err("the line has no address or no id".to_owned());
        };
        let (hired, until) = (field("hired"), field("until"));
        let mut days = hired.into_iter().chain(until);
        if let Some(text) = days.find(|text| Nanos::from_date(text).is_none()) {
            return Err(format!("`{text}` is no date like 2026-01-31"));
        }
        let subject = Subject {
            id: id.into(),
            name: field("name").map(Arc::from),
            role: field("role").map(Arc::from),
            hired: hired.map(Arc::from),
            place: circle(field("place"), field("radius_km"))?,
            until: until.and_then(Nanos::from_date).map(|day| day.plus(Nanos::from_secs(DAY_S))),
            approved: field("approved")
                .map(|tags| tags.split_ascii_whitespace().map(Box::from).collect())
                .unwrap_or_default(),
        };
        Ok((matched.to_owned(), Match::parse(matched)?, subject))
    }
}

/// The location of a line: `LAT,LON` or a city code, and its radius.
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

/// Fields of a CSV line (RFC 4180 section 2, without line breaks inside quotes); `None` if a quote
/// is not closed.
pub(super) fn csv_columns(line: &str) -> Option<Vec<String>> {
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
    fn an_entry_of_a_user_precedes_that_of_a_device() {
        let text = "match,id\nuser:Jane,e-1\n48:DA:35:60:00:01,e-2\n48da.3560.0002,e-3\n";
        let subjects = Subjects::parse(Path::new("s.csv"), text).unwrap();
        let of = |mac: Option<[u8; 6]>, user: Option<&str>| {
            let holder = Holder { mac, user: user.map(Arc::from), ..Holder::default() };
            subjects.of_holder(&holder).map(|subject| subject.id.to_string())
        };
        let mac = |last| Some([0x48, 0xda, 0x35, 0x60, 0, last]);
        assert_eq!(of(mac(1), Some("CORP\\jane")).as_deref(), Some("e-1"));
        assert_eq!(of(None, Some("jane@corp.example")).as_deref(), Some("e-1"));
        assert_eq!(of(mac(1), Some("joe")).as_deref(), Some("e-2"));
        assert_eq!(of(mac(2), None).as_deref(), Some("e-3"));
        assert_eq!(of(mac(3), None), None);
        for bad in ["user:,e", "48:da:35:60:00,e", "user:a,e\nuser:A,e"] {
            let text = format!("match,id\n{bad}\n");
            assert!(Subjects::parse(Path::new("s.csv"), &text).is_err(), "{bad}");
        }
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
    fn a_place_is_claimed_to_the_end_of_its_last_day() {
        let text = "match,id,place,until\n10.0.0.1,a,LON,2026-09-20\n10.0.0.2,b,LON,\n";
        let subjects = Subjects::parse(Path::new("s.csv"), text).unwrap();
        let at = |ip, day: &str, second| {
            let day = Nanos::from_date(day).unwrap();
            let subject = subjects.of(addr(ip)).unwrap();
            subject.place_at(day.plus(Nanos::from_secs(second))).is_some()
        };
        assert!(at("10.0.0.1", "2026-09-20", 86_399));
        assert!(!at("10.0.0.1", "2026-09-21", 0));
        assert!(at("10.0.0.2", "2030-01-01", 0));
        let wrong = "match,id,place,until\n10.0.0.1,a,LON,tomorrow\n";
        assert!(Subjects::parse(Path::new("s.csv"), wrong).is_err());
    }

    #[test]
    fn a_role_and_a_day_are_kept() {
        let text = "Match,ID,role,hired\n10.0.0.1,a,contractor,2026-01-05\n10.0.0.2,b,,\n";
        let subjects = Subjects::parse(Path::new("s.csv"), text).unwrap();
        let first = subjects.of(addr("10.0.0.1")).unwrap();
        let told = (first.role.as_deref(), first.hired.as_deref());
        assert_eq!(told, (Some("contractor"), Some("2026-01-05")));
        assert_eq!(subjects.of(addr("10.0.0.2")).unwrap().hired, None);
        for bad in ["5.1.2026", "2026-13-01", "2026-1-1", "soon", "2026-02-30", "2026-2-031"] {
            let text = format!("match,id,hired\n10.0.0.1,a,{bad}\n");
            assert!(Subjects::parse(Path::new("s.csv"), &text).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ambiguous_line_is_refused() {
        let refused = |text: &str, line: u32, word: &str| {
            let errors = Subjects::parse(Path::new("s.csv"), text).unwrap_err();
            assert_eq!(errors.len(), 1, "{text}");
            assert_eq!(errors[0].place.as_ref().unwrap().1, line, "{text}");
            assert!(errors[0].to_string().contains(word), "{}", errors[0]);
        };
        refused("match,id\n10.0.0.1,a\n10.0.0.0/8,b\n10.0.0.1/32,c\n", 4, "stands twice");
        refused("match,id,name,role\n10.0.0.1,a,Doe, Jane,eng\n", 2, "5 columns are more than");
        let spare = "match,id,name\n10.0.0.1,a,\"Doe, Jane\",,\n10.0.0.2,b\n";
        assert!(Subjects::parse(Path::new("s.csv"), spare).is_ok());
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "match,id,name\n10.0.0.1/8,a,\n,b,\n10.0.0.1,,\n10.0.0.1,c,\n10.0.0.2,d,\"Doe\n";
        let errors = Subjects::parse(Path::new("s.csv"), text).unwrap_err();
        let lines: Vec<u32> = errors.iter().map(|e| e.place.as_ref().unwrap().1).collect();
        assert_eq!(lines, [2, 3, 4, 6]);
        assert!(Subjects::parse(Path::new("s.csv"), "10.0.0.1,c,d\n").is_err());
        let wrong = Subjects::parse(Path::new("s.csv"), "match,id,aproved\n").unwrap_err();
        assert!(wrong[0].to_string().contains("no column is called `aproved`"), "{}", wrong[0]);
        assert!(Subjects::parse(Path::new("s.csv"), "").is_err());
    }
}
