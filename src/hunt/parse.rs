//! Reads filters: `source.geo.country_iso_code == "US" and longhaul.floor_us > 50000`.
//!
//! Owns: words, precedence, types of fields. In: a text. Out: a filter, or what is wrong and where.
//! Never: a field that lines do not have, or a depth without a bound.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::hunt::expression::{Expr, Literal, Op, Path};
use crate::model::endpoint::EndpointRow;
use crate::model::finding::Finding;
use crate::model::near_words::{did_you_mean, nearest};
use crate::model::scan::Scan;
use crate::model::schema::{Described, Field, Kind, find_in, types};
use crate::model::{Error, Nanos, Record};

/// Most bytes of a filter.
const BYTES_MAX: usize = 16 << 10;

/// How deep parentheses and `not` may nest.
const DEPTH_MAX: usize = 64;

/// Reads a filter.
///
/// Errors: it is no filter, with the column of what is wrong.
pub fn parse(text: &str) -> Result<Expr, Error> {
    let refuse = |wrong: Wrong| {
        let column = text.get(..wrong.at).map_or(0, |before| before.chars().count()) + 1;
        Error::new("filter", format!("column {column}: {}", wrong.cause)).help(wrong.help)
    };
    if text.len() > BYTES_MAX {
        let cause = format!("it has more than {BYTES_MAX} bytes");
        return Err(refuse(Wrong { at: 0, cause, help: HELP.to_owned() }));
    }
    let tokens = tokens(text).map_err(refuse)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.len(), types: types(), depth: 0 };
    let expr = parser.any().map_err(refuse)?;
    match parser.peek() {
        None => Ok(expr),
        Some((at, token)) => {
            let cause = format!("{} is not expected here", token.words());
            Err(refuse(Wrong { at: *at, cause, help: "join tests with and, or".to_owned() }))
        }
    }
}

const HELP: &str = "a test is FIELD OP VALUE, FIELD in (VALUE, ...), or exists FIELD, with == != \
                    < <= > >= contains startswith endswith; join them with and, or, not and \
                    parentheses";

/// What is wrong, and at which byte.
struct Wrong {
    at: usize,
    cause: String,
    help: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

impl Token {
    fn words(&self) -> String {
        match self {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(text) => format!("the text \"{text}\""),
            Token::Number(number) => format!("the number {number}"),
            Token::Sign(sign) => format!("`{sign}`"),
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }
}

/// The longer ones first.
const SIGNS: [&str; 9] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Wrong> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let wrong = |cause: String| Wrong { at, cause, help: HELP.to_owned() };
        let (token, len) = if first == '"' || first == '\'' {
            quoted(rest, first).ok_or_else(|| wrong("the text is not closed".to_owned()))?
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Token::Sign(sign), sign.len())
        } else if first.is_ascii_digit() || first == '-' || first == '.' {
            let len = rest.bytes().take_while(is_of_number).count();
            let text = rest.get(..len).unwrap_or_default();
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| {
                wrong(format!("`{text}` is no number; put texts and addresses into quotes"))
            })?;
            (Token::Number(number), len)
        } else if first.is_ascii_alphabetic() || first == '_' || first == '@' {
            let len = rest.bytes().take_while(is_of_word).count();
            (Token::Word(rest.get(..len).unwrap_or_default().to_owned()), len)
        } else if first == '=' {
            return Err(wrong("`=` is no comparison: write `==`".to_owned()));
        } else {
            return Err(wrong(format!("`{first}` is not expected here")));
        };
        all.push((at, token));
        at += len;
    }
    Ok(all)
}

fn is_of_number(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.:".contains(byte)
}

fn is_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.@-".contains(byte)
}

/// A text in quotes, and its length with them; a backslash makes the next character plain.
fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => text.push(letters.next()?.1),
            end if end == quote => return Some((Token::Text(text), at + end.len_utf8())),
            other => text.push(other),
        }
    }
    None
}

struct Parser<'t> {
    tokens: &'t [(usize, Token)],
    at: usize,
    /// Length of the text.
    end: usize,
    types: BTreeMap<&'static str, Kind>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t (usize, Token)> {
        self.tokens.get(self.at)
    }

    fn next(&mut self, want: &str) -> Result<&'t (usize, Token), Wrong> {
        let token = self.peek().ok_or_else(|| Wrong {
            at: self.end,
            cause: format!("{want} is missing at the end"),
            help: HELP.to_owned(),
        })?;
        self.at += 1;
        Ok(token)
    }

    fn takes(&mut self, test: impl Fn(&Token) -> bool) -> bool {
        let is = self.peek().is_some_and(|(_, token)| test(token));
        self.at += usize::from(is);
        is
    }

    fn any(&mut self) -> Result<Expr, Wrong> {
        let mut all = vec![self.all()?];
        while self.takes(|token| token.is_word("or")) {
            all.push(self.all()?);
        }
        Ok(one_or(all, Expr::Any))
    }

    fn all(&mut self) -> Result<Expr, Wrong> {
        let mut all = vec![self.one()?];
        while self.takes(|token| token.is_word("and")) {
            all.push(self.one()?);
        }
        Ok(one_or(all, Expr::All))
    }

    fn one(&mut self) -> Result<Expr, Wrong> {
        let at = self.peek().map_or(self.end, |(at, _)| *at);
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let cause = format!("it nests deeper than {DEPTH_MAX}");
            return Err(Wrong { at, cause, help: "take parentheses away".to_owned() });
        }
        let expr = if self.takes(|token| token.is_word("not")) {
            Expr::Not(Box::new(self.one()?))
        } else if self.takes(|token| *token == Token::Sign("(")) {
            let inner = self.any()?;
            self.sign(")")?;
            inner
        } else if self.takes(|token| token.is_word("exists")) {
            Expr::Exists(self.field()?.0)
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn sign(&mut self, sign: &'static str) -> Result<(), Wrong> {
        match self.next(&format!("`{sign}`"))? {
            (_, Token::Sign(own)) if *own == sign => Ok(()),
            (at, token) => Err(Wrong {
                at: *at,
                cause: format!("`{sign}` is expected before {}", token.words()),
                help: HELP.to_owned(),
            }),
        }
    }

    /// A field's name, and its type.
    fn field(&mut self) -> Result<(Path, Kind), Wrong> {
        let (at, token) = self.next("a field")?;
        let wrong = |cause: String, help: String| Wrong { at: *at, cause, help };
        let Token::Word(name) = token else {
            let cause = format!("a field is expected, not {}", token.words());
            return Err(wrong(cause, HELP.to_owned()));
        };
        let known = self.types.get(name.as_str());
        let Some(kind) = known else {
            let near = nearest(name, self.types.keys().copied());
            let help = did_you_mean(near, "the fields are listed by `longhaul fields`");
            return Err(wrong(format!("unknown field `{name}`"), help));
        };
        if !is_in_lines(name) {
            let help = "`longhaul fields` says which files have a field".to_owned();
            return Err(wrong(format!("`{name}` is known to rules only, no line has it"), help));
        }
        Ok((Path(name.split('.').map(str::to_owned).collect()), *kind))
    }

    fn test(&mut self) -> Result<Expr, Wrong> {
        let (path, kind) = self.field()?;
        let (at, token) = self.next("a comparison")?;
        if token.is_word("in") {
            self.sign("(")?;
            let mut all = vec![self.value(kind, Op::Equal)?];
            while self.takes(|token| *token == Token::Sign(",")) {
                all.push(self.value(kind, Op::Equal)?);
            }
            self.sign(")")?;
            return Ok(Expr::In(path, all));
        }
        let op = match token {
            Token::Sign("==") => Op::Equal,
            Token::Sign("!=") => Op::Differs,
            Token::Sign("<") => Op::Less,
            Token::Sign("<=") => Op::AtMost,
            Token::Sign(">") => Op::Greater,
            Token::Sign(">=") => Op::AtLeast,
            word if word.is_word("contains") => Op::Contains,
            word if word.is_word("startswith") => Op::StartsWith,
            word if word.is_word("endswith") => Op::EndsWith,
            other => {
                let cause = format!("a comparison is expected, not {}", other.words());
                return Err(Wrong { at: *at, cause, help: HELP.to_owned() });
            }
        };
        if !fits(kind, op) {
            let cause = format!("fields of type {} do not compare so", kind.as_str());
            return Err(Wrong { at: *at, cause, help: usable(kind).to_owned() });
        }
        Ok(Expr::Compare(path, op, self.value(kind, op)?))
    }

    /// A value of the field's type.
    fn value(&mut self, kind: Kind, op: Op) -> Result<Literal, Wrong> {
        let (at, token) = self.next("a value")?;
        let wrong = |want: &str| Wrong {
            at: *at,
            cause: format!("{want} is expected, not {}", token.words()),
            help: format!("the field is of type {}: {}", kind.as_str(), usable(kind)),
        };
        match (kind, token) {
            (Kind::Int | Kind::Signed | Kind::Float, Token::Number(number)) => {
                Ok(Literal::Number(*number))
            }
            (Kind::Int | Kind::Signed | Kind::Float, _) => Err(wrong("a number")),
            (Kind::Bool, word) if word.is_word("true") => Ok(Literal::Flag(true)),
            (Kind::Bool, word) if word.is_word("false") => Ok(Literal::Flag(false)),
            (Kind::Bool, _) => Err(wrong("true or false")),
            (Kind::Word(words), Token::Text(text)) => {
                let known = op != Op::Equal && op != Op::Differs || words.contains(&text.as_str());
                let want = format!("one of {}", words.join(", "));
                if known { Ok(Literal::Text(text.clone())) } else { Err(wrong(&want)) }
            }
            (Kind::Ip | Kind::Ips, Token::Text(text)) if matches!(op, Op::Equal | Op::Differs) => {
                network(text).ok_or_else(|| wrong("an address or a network"))
            }
            (Kind::Time, Token::Text(text)) if !is_of_texts(op) => {
                time(text).ok_or_else(|| wrong("a time"))
            }
            (_, Token::Text(text)) => Ok(Literal::Text(text.clone())),
            _ => Err(wrong("a text in quotes")),
        }
    }
}

/// Whether lines of any file have the field.
fn is_in_lines(name: &str) -> bool {
    fn of<S: Described>(name: &str) -> bool {
        find_in::<S>(name).is_some_and(Field::in_lines)
    }
    of::<Record>(name) || of::<EndpointRow>(name) || of::<Finding>(name) || of::<Scan>(name)
}

fn one_or(mut all: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => one,
        (Some(last), false) => {
            all.push(last);
            many(all)
        }
        (None, _) => many(all),
    }
}

/// Whether it looks at the letters of a value.
const fn is_of_texts(op: Op) -> bool {
    matches!(op, Op::Contains | Op::StartsWith | Op::EndsWith)
}

/// Whether values of a type compare so.
fn fits(kind: Kind, op: Op) -> bool {
    let texts = is_of_texts(op);
    let order = matches!(op, Op::Less | Op::AtMost | Op::Greater | Op::AtLeast);
    match kind {
        Kind::Int | Kind::Signed | Kind::Float => !texts,
        Kind::Bool => !texts && !order,
        Kind::Ip | Kind::Ips => !order,
        _ => true,
    }
}

const fn usable(kind: Kind) -> &'static str {
    match kind {
        Kind::Int | Kind::Signed | Kind::Float => "compare it with a number by == != < <= > >=",
        Kind::Bool => "compare it with true or false by == !=",
        Kind::Ip | Kind::Ips => "compare it with \"10.0.0.1\" or \"10.0.0.0/8\" by == != in",
        Kind::Time => {
            "compare it with a time of UTC such as \"2026-11-23\", \"2026-11-23T02:00\" or \
             \"2026-11-23T02:00:00.5Z\""
        }
        _ => "compare it with a text in quotes",
    }
}

/// A time of UTC, from a day down to nanoseconds, with or without `Z` at its end.
fn time(text: &str) -> Option<Literal> {
    const FORM: &str = "0000-01-01T00:00:00";
    let text = text.strip_suffix('Z').unwrap_or(text);
    let whole = match FORM.get(text.len()..) {
        Some(rest) if [10, 13, 16, 19].contains(&text.len()) => format!("{text}{rest}Z"),
        None if text.len() > 20 && text.as_bytes().get(19) == Some(&b'.') => format!("{text}Z"),
        _ => return None,
    };
    let fits = |(own, form): (u8, u8)| match form {
        b'0' | b'1' => own.is_ascii_digit(),
        sign => own == sign,
    };
    let formed = text.bytes().zip(FORM.bytes()).all(fits);
    (formed && Nanos::parse(&whole).is_some()).then(|| Literal::Time(text.to_owned()))
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Option<Literal> {
    let (addr, bits) = match text.split_once('/') {
        Some((addr, bits)) => (addr, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().ok()?;
    let all = if addr.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some(Literal::Network(addr, bits))
}
