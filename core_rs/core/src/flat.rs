//! One JSON object without nesting or escapes, in a single pass: the shape of nearly every request.

/// Calls `each` with the name and the text of every member, as they stand. `None` for everything else, right or wrong,
/// which a full parser has then to judge anew; `each` may have been called by then.
pub(crate) fn flat_object<'a>(body: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let bytes = body.as_bytes();
    // Looked for in one sweep, so that a text ends at the next quote. A line break between members is as rare as a text
    // that has to escape something, and is left as well.
    if bytes
        .iter()
        .fold(false, |found, byte| found | (*byte < b' ') | (*byte == b'\\'))
    {
        return None;
    }
    let mut at = expect(bytes, 0, b'{')?;
    loop {
        let name = at;
        at = text_end(bytes, name)?;
        let name = &body[name + 1..at - 1];
        let value = expect(bytes, at, b':')?;
        at = match bytes.get(value)? {
            b'"' => text_end(bytes, value)?,
            b'-' | b'0'..=b'9' => number_end(bytes, value)?,
            _ => literal_end(bytes, value)?,
        };
        each(name, &body[value..at]);
        at = space(bytes, at);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    (space(bytes, at + 1) == bytes.len()).then_some(())
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

/// The place after this byte, with the space around it.
fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = space(bytes, at);
    (bytes.get(at) == Some(&byte)).then(|| space(bytes, at + 1))
}

/// The place after a string that begins here.
fn text_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let len = bytes[at + 1..].iter().position(|byte| *byte == b'"')?;
    Some(at + len + 2)
}

fn digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    at
}

/// As [`digits`], of which there must be one.
fn some_digits(bytes: &[u8], at: usize) -> Option<usize> {
    let end = digits(bytes, at);
    (end > at).then_some(end)
}

/// The place after a number that begins here.
fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let whole = at + usize::from(bytes[at] == b'-');
    let mut end = some_digits(bytes, whole)?;
    if bytes[whole] == b'0' && end > whole + 1 {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end = some_digits(bytes, end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        end = some_digits(bytes, end + 1 + usize::from(sign))?;
    }
    Some(end)
}

fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let literal = [&b"null"[..], b"true", b"false"]
        .into_iter()
        .find(|literal| rest.starts_with(literal))?;
    Some(at + literal.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn flat(body: &str) -> Option<Vec<(String, String)>> {
        let mut members = Vec::new();
        flat_object(body, |name, value| members.push((name.to_owned(), value.to_owned())))?;
        Some(members)
    }

    /// Whatever is read here must be what the full parser reads. Without two members of one name, since a map has one.
    #[track_caller]
    fn agrees(body: &str) {
        let full = serde_json::from_str::<BTreeMap<String, &RawValue>>(body);
        if let Some(members) = flat(body) {
            let full = full.unwrap_or_else(|error| panic!("{body}: {error}"));
            for (name, value) in &members {
                assert!(members.len() > full.len() || full[name].get() == value, "{body}");
            }
        }
    }

    #[test]
    fn plain_members_are_read_and_everything_else_is_left() {
        let read = flat(" {\"a\" : 1.5e-3 , \"ä\":\"b c\", \"x\":null,\"y\":true,\"z\":-0} ").unwrap();
        let texts: Vec<(&str, &str)> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        let same = [
            ("a", "1.5e-3"),
            ("ä", "\"b c\""),
            ("x", "null"),
            ("y", "true"),
            ("z", "-0"),
        ];
        assert_eq!(texts, same);
        for left in [
            "",
            "{",
            "{}",
            "[]",
            "1",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1}}",
            "{\"a\":1} x",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":NaN}",
            "{\"a\":nul}",
            "{\"a\":\"\\n\"}",
            "{\"\\u0061\":1}",
            "{\n\"a\":1}",
            "{\"a\":\"\n\"}",
            "{\"a\":{}}",
            "{\"a\":[]}",
            "{\"a\":\"b}",
            "{a:1}",
            "{,\"a\":1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":truefalse}",
        ] {
            assert_eq!(flat(left), None, "{left}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_read_is_what_the_full_parser_reads(body in "[ \\{\\},:\"\\\\a0-1.eE+\\-tnulfsr\\n]{0,24}") {
            agrees(&body);
            agrees(&format!("{{\"k\":{body}}}"));
            agrees(&format!("{{\"k\":\"{body}\",\"{body}\":1}}"));
            agrees(&format!("{{\"k\":1{body}"));
        }

        #[test]
        fn numbers_and_texts_of_every_kind(number in "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?", text in ".{0,8}") {
            agrees(&format!("{{\"a\":{number},\"b\":\"{text}\"}}"));
            agrees(&format!("{{\"{text}\" : {number} }}"));
        }
    }
}
