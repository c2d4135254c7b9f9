//! Reading a JSON body: members as they stand in it, what they may hold, and every wrong one named.

use crate::flat::flat_object;
use crate::number::NumberError;
use crate::refusal::{self, FieldError, Refusal};
use crate::terms::{OrdType, TimeInForce};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// No more wrong members than this are named: a refusal stays small whatever the body.
const MAX_FIELD_ERRORS: usize = 16;
const UNKNOWN_MEMBER: &str = "is not a known member";
/// No more of an unknown member's name than this is repeated, in characters.
const MAX_ECHO: usize = 64;

/// Declares the members of the body: their place in [`Members::raw`] and their names on the wire.
macro_rules! members {
    ($($name:ident = $text:literal),+ $(,)?) => {
        #[derive(Clone, Copy)]
        pub(crate) enum Member { $($name),+ }
        impl Member {
            pub const NAMES: &'static [&'static str] = &[$($text),+];
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }
            pub const fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
    };
}

members! {
    Symbol = "symbol", Side = "side", Type = "type", TimeInForce = "timeInForce", Quantity = "quantity", Price = "price",
    Mode = "mode", ClientOrderId = "clientOrderId", StrategyId = "strategyId", ValidForMs = "validForMs",
    OverrideId = "overrideId", StopPrice = "stopPrice", QuoteOrderQty = "quoteOrderQty", ExpireAt = "expireAt",
}

/// The members as they stand in the body, and what is wrong with them so far.
#[derive(Default)]
pub(crate) struct Members<'a> {
    pub raw: [Option<&'a str>; Member::NAMES.len()],
    pub errors: Vec<FieldError>,
}

/// A member's name: one of ours, or the beginning of a stranger's.
enum Name {
    Known(Member),
    Unknown(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match Member::parse(name) {
                    Some(member) => Name::Known(member),
                    None => Name::Unknown(name.chars().take(MAX_ECHO).collect()),
                })
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Members<'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name>()? {
            // Kept as text: numbers keep their digits, and nesting is skipped without recursion.
            let value = map.next_value::<&RawValue>()?.get();
            match name {
                Name::Unknown(name) => self.wrong(&name, UNKNOWN_MEMBER),
                Name::Known(member) => self.keep(member, value),
            }
        }
        Ok(())
    }
}

impl<'a> Members<'a> {
    fn keep(&mut self, member: Member, raw: &'a str) {
        match &mut self.raw[member as usize] {
            Some(_) => self.wrong(member.name(), "is given twice"),
            place => *place = Some(raw),
        }
    }

    pub fn wrong(&mut self, field: &str, message: impl Into<String>) {
        if self.errors.len() < MAX_FIELD_ERRORS {
            self.errors.push(FieldError {
                field: field.to_owned(),
                message: message.into(),
            });
        }
    }

    /// A member decoded by `decode`; what is wrong is noted. A null is no value and does not stand for absence.
    pub fn optional<T>(&mut self, member: Member, decode: impl FnOnce(&'a str) -> Result<T, Wrong>) -> Option<T> {
        let raw = self.raw[member as usize]?;
        match if raw == "null" {
            wrong("must not be null")
        } else {
            decode(raw)
        } {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(member.name(), wrong.0);
                None
            }
        }
    }

    pub fn required<T>(&mut self, member: Member, decode: impl FnOnce(&'a str) -> Result<T, Wrong>) -> Option<T> {
        if self.is_absent(member) {
            self.wrong(member.name(), "is required");
        }
        self.optional(member, decode)
    }

    pub fn is_absent(&self, member: Member) -> bool {
        self.raw[member as usize].is_none()
    }

    /// What the type needs and what it does not admit.
    pub fn fit_type(&mut self, ord_type: OrdType, time_in_force: Option<TimeInForce>) {
        let needs = [
            (Member::Price, ord_type.has_price()),
            (Member::StopPrice, ord_type.has_stop()),
        ];
        for (member, needed) in needs {
            match (needed, self.is_absent(member)) {
                (true, true) => self.wrong(member.name(), format!("is required for a {ord_type} order")),
                (false, false) => self.wrong(member.name(), format!("must not be given for a {ord_type} order")),
                _ => {}
            }
        }
        if !self.is_absent(Member::QuoteOrderQty) {
            if ord_type != OrdType::Market {
                self.wrong(
                    Member::QuoteOrderQty.name(),
                    format!("must not be given for a {ord_type} order"),
                );
            } else if !self.is_absent(Member::Quantity) {
                self.wrong(Member::Quantity.name(), "must not be given together with quoteOrderQty");
            }
        }
        let allowed = ord_type.times_in_force();
        if time_in_force.is_some_and(|asked| !allowed.contains(&asked)) {
            let words: Vec<&str> = allowed.iter().map(|word| word.as_str()).collect();
            let message = format!("must be {} for a {ord_type} order", words.join(" or "));
            self.wrong(Member::TimeInForce.name(), message);
        }
        match (
            time_in_force == Some(TimeInForce::Gtd),
            self.is_absent(Member::ExpireAt),
        ) {
            (true, true) => self.wrong(Member::ExpireAt.name(), "is required for GTD"),
            (false, false) => self.wrong(Member::ExpireAt.name(), "must not be given without GTD"),
            _ => {}
        }
    }
}

/// What is wrong with one member.
pub(crate) struct Wrong(pub Cow<'static, str>);

impl From<NumberError> for Wrong {
    fn from(error: NumberError) -> Self {
        Self(error.to_string().into())
    }
}

pub(crate) const fn wrong<T>(message: &'static str) -> Result<T, Wrong> {
    Err(Wrong(Cow::Borrowed(message)))
}

/// The text of a JSON string.
pub(crate) fn text(raw: &str) -> Result<Cow<'_, str>, Wrong> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => wrong("must be a string"),
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => match serde_json::from_str(raw) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => wrong("is not valid Unicode text"),
        },
    }
}

/// The digits of a JSON number, or of a string that holds one.
pub(crate) fn digits(raw: &str) -> Result<Cow<'_, str>, Wrong> {
    match raw.as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Ok(Cow::Borrowed(raw)),
        Some(b'"') => text(raw),
        _ => wrong("must be a decimal number or a string holding one"),
    }
}

/// A word of a vocabulary.
pub(crate) fn word<T: Copy>(
    all: &'static [T],
    parse: fn(&str) -> Option<T>,
    as_str: fn(T) -> &'static str,
) -> impl Fn(&str) -> Result<T, Wrong> {
    move |raw| {
        parse(&text(raw)?).ok_or_else(|| {
            let words: Vec<&str> = all.iter().map(|member| as_str(*member)).collect();
            Wrong(format!("must be one of {}", words.join(", ")).into())
        })
    }
}

/// The members of the one object that `body` must be.
pub(crate) fn read_members(body: &[u8]) -> Result<Members<'_>, Refusal> {
    let malformed = |detail: String| Refusal::new(refusal::MALFORMED_JSON, detail);
    let body = std::str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8".to_owned()))?;
    let mut members = Members::default();
    let flat = flat_object(body, |name, raw| match Member::parse(name) {
        Some(member) => members.keep(member, raw),
        None => members.wrong(&name.chars().take(MAX_ECHO).collect::<String>(), UNKNOWN_MEMBER),
    });
    if flat.is_some() {
        return Ok(members);
    }
    let mut members = Members::default();
    let mut reader = serde_json::Deserializer::from_str(body);
    // The parser's own message may repeat the body, so only the place is told.
    (&mut members)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| {
            malformed(match error.classify() {
                serde_json::error::Category::Data => "The body is not a JSON object".to_owned(),
                serde_json::error::Category::Eof => "The body is empty or ends too early".to_owned(),
                _ => format!(
                    "The body is not valid JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ),
            })
        })?;
    Ok(members)
}
