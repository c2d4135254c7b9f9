//! A second reader of JSON, for flat objects of texts and numbers: slow, short, and not the one that it checks.

/// A member's value: a number's or a text's characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// True for a JSON string.
    pub quoted: bool,
    /// Digits as they stand, or the text with its escapes undone.
    pub text: String,
}

struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

/// The members in order; `None` for anything that is not a flat object.
pub fn members(body: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut reader = Reader(std::str::from_utf8(body).ok()?.chars().peekable());
    let mut members = Vec::new();
    reader.expect('{')?;
    if reader.next_is('}') {
        reader.expect('}')?;
    } else {
        loop {
            reader.blank();
            let name = reader.string()?;
            reader.expect(':')?;
            reader.blank();
            members.push((name, reader.value()?));
            reader.blank();
            match reader.0.next()? {
                ',' => {}
                '}' => break,
                _ => return None,
            }
        }
    }
    reader.blank();
    reader.0.next().is_none().then_some(members)
}

impl Reader<'_> {
    fn blank(&mut self) {
        while self.0.next_if(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.blank();
        self.0.peek() == Some(&wanted)
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.blank();
        (self.0.next()? == wanted).then_some(())
    }

    fn value(&mut self) -> Option<Value> {
        let quoted = self.0.peek() == Some(&'"');
        let text = if quoted { self.string()? } else { self.number() };
        (quoted || !text.is_empty()).then_some(Value { quoted, text })
    }

    fn number(&mut self) -> String {
        let mut digits = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
            digits.push(c);
        }
        digits
    }

    fn string(&mut self) -> Option<String> {
        let mut units = Vec::new();
        (self.0.next()? == '"').then_some(())?;
        loop {
            match self.0.next()? {
                '"' => return String::from_utf16(&units).ok(),
                '\\' => units.push(self.escape()?),
                c if c < ' ' => return None,
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.0.next()? {
            c @ ('"' | '\\' | '/') => c as u16,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => (0..4).try_fold(0, |code, _| Some(code * 16 + self.0.next()?.to_digit(16)? as u16))?,
            _ => return None,
        })
    }
}
