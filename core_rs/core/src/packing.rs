//! Records as MessagePack: the very bytes that `rmp_serde` writes, in a third of its time.
//!
//! An order's record is the longest piece of work between its decision and its answer. Here every value goes straight
//! into the buffer, without a writer in between. Reading stays with `rmp_serde`, and a test holds both writers together.

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant,
};
use std::fmt;

/// Why a value was not written: it said so itself, or did not tell its length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PackError(Box<str>);

impl ser::Error for PackError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

type Packed = Result<(), PackError>;

/// Appends the value: structs as arrays, in the shortest form of each number.
///
/// # Errors
/// [`PackError`]; `out` may then end with a part of the value.
pub(crate) fn pack<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Packed {
    value.serialize(&mut Packer { out })
}

struct Packer<'a> {
    out: &'a mut Vec<u8>,
}

impl Packer<'_> {
    /// A marker byte and what follows it, in one piece.
    #[inline]
    fn marked<const N: usize>(&mut self, marker: u8, value: [u8; N]) {
        let mut bytes = [marker; 9];
        bytes[1..=N].copy_from_slice(&value);
        self.out.extend_from_slice(&bytes[..=N]);
    }

    #[inline]
    fn unsigned(&mut self, value: u64) {
        match value {
            0..0x80 => self.out.push(value as u8),
            0x80..0x100 => self.marked(0xcc, (value as u8).to_be_bytes()),
            0x100..0x1_0000 => self.marked(0xcd, (value as u16).to_be_bytes()),
            0x1_0000..0x1_0000_0000 => self.marked(0xce, (value as u32).to_be_bytes()),
            _ => self.marked(0xcf, value.to_be_bytes()),
        }
    }

    #[inline]
    fn signed(&mut self, value: i64) {
        match value {
            0.. => self.unsigned(value as u64),
            -0x20..0 => self.out.push(value as u8),
            -0x80..-0x20 => self.marked(0xd0, (value as i8).to_be_bytes()),
            -0x8000..-0x80 => self.marked(0xd1, (value as i16).to_be_bytes()),
            -0x8000_0000..-0x8000 => self.marked(0xd2, (value as i32).to_be_bytes()),
            _ => self.marked(0xd3, value.to_be_bytes()),
        }
    }

    /// The head of an array or a map.
    #[inline]
    fn head(&mut self, len: usize, is_map: bool) -> Packed {
        let few = if is_map { 0x80 } else { 0x90 };
        match u32::try_from(len) {
            Ok(len @ 0..16) => self.out.push(few | len as u8),
            Ok(len @ 16..0x1_0000) if is_map => self.marked(0xde, (len as u16).to_be_bytes()),
            Ok(len @ 16..0x1_0000) => self.marked(0xdc, (len as u16).to_be_bytes()),
            Ok(len) if is_map => self.marked(0xdf, len.to_be_bytes()),
            Ok(len) => self.marked(0xdd, len.to_be_bytes()),
            Err(_) => return Err(ser::Error::custom("too long")),
        }
        Ok(())
    }

    /// What comes before the contents of a variant: it is a map of one.
    fn variant(&mut self, name: &str) -> Packed {
        self.head(1, true)?;
        ser::Serializer::serialize_str(self, name)
    }
}

impl ser::Serializer for &mut Packer<'_> {
    type Ok = ();
    type Error = PackError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Packed {
        self.out.push(0xc2 | u8::from(value));
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Packed {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Packed {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Packed {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Packed {
        self.signed(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Packed {
        self.serialize_bytes(&value.to_be_bytes())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Packed {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Packed {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Packed {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Packed {
        self.unsigned(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Packed {
        self.serialize_bytes(&value.to_be_bytes())
    }

    fn serialize_f32(self, _: f32) -> Packed {
        Err(ser::Error::custom("a float"))
    }

    fn serialize_f64(self, _: f64) -> Packed {
        Err(ser::Error::custom("a float"))
    }

    fn serialize_char(self, value: char) -> Packed {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Packed {
        match u32::try_from(value.len()) {
            Ok(len @ 0..32) => self.out.push(0xa0 | len as u8),
            Ok(len @ 32..0x100) => self.marked(0xd9, (len as u8).to_be_bytes()),
            Ok(len @ 0x100..0x1_0000) => self.marked(0xda, (len as u16).to_be_bytes()),
            Ok(len) => self.marked(0xdb, len.to_be_bytes()),
            Err(_) => return Err(ser::Error::custom("too long")),
        }
        self.out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Packed {
        match u32::try_from(value.len()) {
            Ok(len @ 0..0x100) => self.marked(0xc4, (len as u8).to_be_bytes()),
            Ok(len @ 0x100..0x1_0000) => self.marked(0xc5, (len as u16).to_be_bytes()),
            Ok(len) => self.marked(0xc6, len.to_be_bytes()),
            Err(_) => return Err(ser::Error::custom("too long")),
        }
        self.out.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Packed {
        self.out.push(0xc0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Packed {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Packed {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Packed {
        self.head(0, false)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Packed {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Packed {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Packed {
        self.variant(variant)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self, PackError> {
        let len = len.ok_or_else(|| ser::Error::custom("a sequence of unknown length"))?;
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self, PackError> {
        self.head(len, false)?;
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self, PackError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, PackError> {
        self.variant(variant)?;
        self.serialize_tuple(len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, PackError> {
        let len = len.ok_or_else(|| ser::Error::custom("a map of unknown length"))?;
        self.head(len, true)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, PackError> {
        self.serialize_tuple(len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, PackError> {
        self.serialize_tuple_variant(name, index, variant, len)
    }
}

/// The parts of a whole follow each other; nothing comes after the last.
macro_rules! parts {
    ($($part:ident $method:ident ($($key:ident: $key_type:ty)?)),+) => { $(
        impl $part for &mut Packer<'_> {
            type Ok = ();
            type Error = PackError;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $key_type,)? value: &T) -> Packed {
                value.serialize(&mut **self)
            }
            #[inline]
            fn end(self) -> Packed {
                Ok(())
            }
        }
    )+ };
}
parts!(
    SerializeSeq serialize_element (),
    SerializeTuple serialize_element (),
    SerializeTupleStruct serialize_field (),
    SerializeTupleVariant serialize_field (),
    SerializeStruct serialize_field (_name: &'static str),
    SerializeStructVariant serialize_field (_name: &'static str)
);

impl SerializeMap for &mut Packer<'_> {
    type Ok = ();
    type Error = PackError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Packed {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Packed {
        value.serialize(&mut **self)
    }

    fn end(self) -> Packed {
        Ok(())
    }
}

#[cfg(test)]
#[path = "packing_tests.rs"]
mod tests;

#[cfg(test)]
mod refused {
    use super::*;

    #[test]
    fn floats_are_never_written() {
        let mut out = Vec::new();
        assert!(pack(&mut out, &1.5_f64).is_err() && pack(&mut out, &1.5_f32).is_err());
        assert!(out.is_empty());
    }
}
