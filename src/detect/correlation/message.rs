//! The message of a correlation's alert.
//!
//! Owns: `{field}` of what it groups by, and `{value}`. In: a rule's message. Out: one sentence.
//! Never: a field that the events of the group do not share.

/// A message with its placeholders resolved.
#[derive(Debug)]
pub(in crate::detect) struct Message(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// One of the values that the correlation groups by.
    Group(usize),
    /// What was counted.
    Value,
}

impl Message {
    /// Parses a message; `names` are those of the fields and aliases that are grouped by.
    ///
    /// Errors: the text near it, the cause, the help.
    pub(in crate::detect) fn parse(
        text: &str,
        names: &[String],
    ) -> Result<Message, (String, String, String)> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let Some((name, after)) = after.split_once('}') else {
                let help = "write `{field}` or `{value}`".to_owned();
                return Err(("{".to_owned(), "a `{` is not closed".to_owned(), help));
            };
            let group = names.iter().position(|have| have == name.trim());
            pieces.push(match (group, name.trim()) {
                (Some(at), _) => Piece::Group(at),
                (None, "value") => Piece::Value,
                (None, name) => {
                    let cause = format!("`{name}` is not what the correlation groups by");
                    let help = format!("`{{value}}`, or one of: {}", names.join(", "));
                    return Err((format!("{{{name}}}"), cause, help));
                }
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Message(pieces))
    }

    /// The message for a group, its values as JSON.
    pub(in crate::detect) fn fill(&self, group: &[String], value: &str) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value => out.push_str(value),
                Piece::Group(at) => out.push_str(&text_of(group.get(*at).map_or("", |json| json))),
            }
        }
        out
    }
}

fn text_of(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_what_is_grouped_by() {
        let names = ["source.ip".to_owned(), "port".to_owned()];
        let message = Message::parse("{source.ip} {value} x {port}", &names).unwrap();
        let group = ["\"192.0.2.1\"".to_owned(), "22".to_owned()];
        assert_eq!(message.fill(&group, "7"), "192.0.2.1 7 x 22");
        assert!(Message::parse("{destination.ip}", &names).unwrap_err().1.contains("groups by"));
        assert!(Message::parse("{source.ip", &names).is_err());
    }
}
