//! Parses signature files as text: a small, strict subset of YAML, with line numbers.
//!
//! Owns: its grammar. In: text. Out: entries of keys and values. Never: anchors, tags, multi-line
//! scalars or any other YAML that a table does not need: anything else is refused.
//!
//! A file is a list. An entry starts with `- key: value` in the first column; its further keys are
//! indented by two columns; a key without a value is followed by items, `- value`, indented by
//! four. A value is a word, a text in quotation marks, a list `[a, b]` or a map `{a: b, c: d}`, on
//! one line.

/// A value and its line number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct YamlNode {
    pub(super) line: u32,
    pub(super) value: YamlValue,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum YamlValue {
    Word(String),
    List(Vec<YamlNode>),
    Map(Vec<(String, YamlNode)>),
}

/// One entry of the file: its keys in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct YamlEntry {
    pub(super) line: u32,
    pub(super) keys: Vec<(String, YamlNode)>,
}

/// Why a line is refused.
#[derive(Debug, PartialEq)]
pub(super) struct LineError {
    pub(super) line: u32,
    pub(super) cause: String,
}

/// Maximum nesting of flow values.
const DEPTH_MAX: u8 = 3;

/// Parses a file: its entries, and every line that is not understood.
pub(super) fn read(text: &str) -> (Vec<YamlEntry>, Vec<LineError>) {
    let (mut entries, mut refusals) = (Vec::<YamlEntry>::new(), Vec::new());
    for (line, raw) in (1u32..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let content = raw.trim_end();
        let body = content.trim_start_matches(' ');
        if body.is_empty() || body.starts_with('#') || content == "---" {
            continue;
        }
        let indent = content.len() - body.len();
        if let Err(cause) = take_line(&mut entries, line, indent, body) {
            refusals.push(LineError { line, cause });
        }
    }
    (entries, refusals)
}

fn take_line(
    entries: &mut Vec<YamlEntry>,
    line: u32,
    indent: usize,
    body: &str,
) -> Result<(), String> {
    let item = body.strip_prefix("- ");
    match (indent, item) {
        (0, Some(rest)) => {
            entries.push(YamlEntry { line, keys: Vec::new() });
            take_key(entries, line, rest)
        }
        (2, None) => take_key(entries, line, body),
        (4, Some(rest)) => {
            let last = entries.last_mut().and_then(|entry| entry.keys.last_mut());
            let Some((_, YamlNode { value: YamlValue::List(items), .. })) = last else {
                return Err("the item belongs to no key".to_owned());
            };
            items.push(whole(line, rest)?);
            Ok(())
        }
        _ => Err("the line is neither `- key: value`, `  key: value` nor `    - item`".to_owned()),
    }
}

fn take_key(entries: &mut [YamlEntry], line: u32, text: &str) -> Result<(), String> {
    let Some((key, rest)) = text.split_once(':') else {
        return Err(format!("`{text}` is not `key: value`"));
    };
    let Some(entry) = entries.last_mut() else {
        return Err("a file begins with an entry, `- name: ...`".to_owned());
    };
    if entry.keys.iter().any(|(have, _)| have == key) {
        return Err(format!("the key `{key}` is there already"));
    }
    let rest = rest.trim();
    let node = match rest.is_empty() || rest.starts_with('#') {
        true => YamlNode { line, value: YamlValue::List(Vec::new()) },
        false => whole(line, rest)?,
    };
    entry.keys.push((key.to_owned(), node));
    Ok(())
}

/// A single value that fills a text, up to a comment.
fn whole(line: u32, text: &str) -> Result<YamlNode, String> {
    let mut flow = Flow { rest: text.trim(), line };
    let node = flow.value(&[], DEPTH_MAX)?;
    let rest = flow.rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(node)
    } else {
        Err(format!("`{rest}` stands behind the value"))
    }
}

/// The rest of a line.
struct Flow<'a> {
    rest: &'a str,
    line: u32,
}

impl Flow<'_> {
    /// A value that ends before one of `ends`, or with the line.
    fn value(&mut self, ends: &[char], depth: u8) -> Result<YamlNode, String> {
        let depth = depth.checked_sub(1).ok_or("values nest too deep")?;
        self.rest = self.rest.trim_start();
        let value = if self.eat('[') {
            YamlValue::List(self.items(depth)?)
        } else if self.eat('{') {
            YamlValue::Map(self.pairs(depth)?)
        } else {
            YamlValue::Word(self.word(ends)?)
        };
        Ok(YamlNode { line: self.line, value })
    }

    fn items(&mut self, depth: u8) -> Result<Vec<YamlNode>, String> {
        let mut items = Vec::new();
        while !self.eat(']') {
            items.push(self.value(&[',', ']'], depth)?);
            self.separator(']')?;
        }
        Ok(items)
    }

    fn pairs(&mut self, depth: u8) -> Result<Vec<(String, YamlNode)>, String> {
        let mut pairs: Vec<(String, YamlNode)> = Vec::new();
        while !self.eat('}') {
            let Some((key, rest)) = self.rest.split_once(':') else {
                return Err("`{` is not followed by `key: value` and `}`".to_owned());
            };
            let key = key.trim().to_owned();
            if pairs.iter().any(|(have, _)| *have == key) {
                return Err(format!("the key `{key}` is there already"));
            }
            self.rest = rest;
            let value = self.value(&[',', '}'], depth)?;
            pairs.push((key, value));
            self.separator('}')?;
        }
        Ok(pairs)
    }

    fn separator(&mut self, end: char) -> Result<(), String> {
        self.rest = self.rest.trim_start();
        if self.eat(',') || self.rest.starts_with(end) {
            return Ok(());
        }
        Err(format!("`,` or `{end}` is missing"))
    }

    fn eat(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(c);
        rest.map(|rest| self.rest = rest).is_some()
    }

    fn word(&mut self, ends: &[char]) -> Result<String, String> {
        for quote in ['"', '\''] {
            if self.eat(quote) {
                let text = self.rest.split_once(quote);
                let (text, rest) = text.ok_or("a quotation mark is not closed")?;
                if text.contains('\\') {
                    return Err("`\\` has no meaning here".to_owned());
                }
                self.rest = rest;
                return Ok(text.to_owned());
            }
        }
        let remark = self.rest.find(" #").unwrap_or(self.rest.len());
        let end = self.rest.find(ends).unwrap_or(self.rest.len()).min(remark);
        let Some((word, rest)) = self.rest.split_at_checked(end) else { return Ok(String::new()) };
        self.rest = rest;
        match word.trim() {
            "" => Err("a value is missing".to_owned()),
            word if word.starts_with(['&', '*', '!', '|', '>', '%', '@', '`']) => Err(format!(
                "`{word}` is YAML that a table does not use: put it in quotation marks"
            )),
            word => Ok(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(line: u32, text: &str) -> YamlNode {
        YamlNode { line, value: YamlValue::Word(text.to_owned()) }
    }

    #[test]
    fn entries_keys_items_and_flow_values_know_their_lines() {
        let text = "# table\n---\n- name: a  # remark\n  ports: [7070/tcp, '1/udp']\n  names:\n    \
                    - x.y\n    - {cn: \"A, B\", min: 4}\n\n- name: b\n";
        let (entries, refusals) = read(text);
        assert_eq!(refusals, []);
        let list = |line, items| YamlNode { line, value: YamlValue::List(items) };
        let pairs = vec![("cn".to_owned(), word(7, "A, B")), ("min".to_owned(), word(7, "4"))];
        let names = vec![word(6, "x.y"), YamlNode { line: 7, value: YamlValue::Map(pairs) }];
        let keys = vec![
            ("name".to_owned(), word(3, "a")),
            ("ports".to_owned(), list(4, vec![word(4, "7070/tcp"), word(4, "1/udp")])),
            ("names".to_owned(), list(5, names)),
        ];
        assert_eq!(entries.first(), Some(&YamlEntry { line: 3, keys }));
        assert_eq!(entries.get(1).map(|entry| entry.line), Some(9));
    }

    #[test]
    fn every_line_that_is_not_understood_is_named() {
        let bad = [
            "name: a",
            "- name",
            "- a: [b",
            "- a: {b}",
            "- a: \"b",
            "- a: b\n  a: c",
            "- a: *b",
            "- a: b\n   c: d",
            "- a: b\n    - c",
            "- a: [b] c",
            "- a: [[[[b]]]]",
            "- a: {b: }",
            "\t- a: b",
            "- a: [b c d",
        ];
        for text in bad {
            let (_, refusals) = read(text);
            assert_eq!(refusals.len(), 1, "{text}");
        }
        let (entries, refusals) = read("- a: *b\n- c\n- d: e\n");
        assert_eq!((entries.len(), refusals.len()), (3, 2));
    }
}
