//! AMF0 (Adobe's Action Message Format 0): values and back.
//!
//! Commands and metadata of RTMP are rows of such values. Order of properties is kept. Depth and number are bounded.

use bytes::{BufMut, BytesMut};

use crate::limits::{AMF_DEPTH_MAX, AMF_VALUES_MAX};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number (section 2.2).
    Number(f64),
    /// A truth value (section 2.3).
    Boolean(bool),
    /// A text (sections 2.4 and 2.14).
    String(String),
    /// Named properties (section 2.5).
    Object(Object),
    /// Nothing (section 2.7).
    Null,
    /// Not there (section 2.8).
    Undefined,
    /// An earlier complex value (section 2.9); not resolved, for no client uses it.
    Reference(u16),
    /// Named properties with a count in front (section 2.10).
    EcmaArray(Object),
    /// Values without names (section 2.12).
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970, and a time zone that is always 0 (section 2.13).
    Date(f64),
    /// A type that AMF0 names but does not carry (section 2.15).
    Unsupported,
    /// XML as text (section 2.17).
    Xml(String),
    /// Named properties of a class (section 2.18).
    TypedObject(String, Object),
}

/// Named properties in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(pub Vec<(String, Value)>);

/// Why bytes are no AMF0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmfError {
    /// The bytes ended before the value did.
    #[error("AMF0 ended early")]
    Ended,
    /// A type that is not part of AMF0.
    #[error("AMF0 type {0:#04x}")]
    Type(u8),
    /// Deeper than [`AMF_DEPTH_MAX`].
    #[error("AMF0 deeper than {AMF_DEPTH_MAX} levels")]
    TooDeep,
    /// More than [`AMF_VALUES_MAX`].
    #[error("more than {AMF_VALUES_MAX} AMF0 values")]
    TooMany,
}

mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const REFERENCE: u8 = 7;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
    pub(super) const DATE: u8 = 11;
    pub(super) const LONG_STRING: u8 = 12;
    pub(super) const UNSUPPORTED: u8 = 13;
    pub(super) const XML: u8 = 15;
    pub(super) const TYPED_OBJECT: u8 = 16;
}

impl Value {
    /// An object of these properties.
    pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Object(Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number, or a boolean as one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Boolean(is) => Some(f64::from(u8::from(*is))),
            _ => None,
        }
    }

    /// The properties of any kind of object.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) | Self::TypedObject(_, object) => Some(object),
            _ => None,
        }
    }

    /// Writes it. Names and class names above 65,535 bytes are cut.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(marker::NUMBER);
                out.put_f64(*number);
            }
            Self::Boolean(is) => out.put_slice(&[marker::BOOLEAN, u8::from(*is)]),
            Self::String(text) => write_string(text, out),
            Self::Object(object) => {
                out.put_u8(marker::OBJECT);
                object.write(out);
            }
            Self::Null => out.put_u8(marker::NULL),
            Self::Undefined => out.put_u8(marker::UNDEFINED),
            Self::Reference(index) => {
                out.put_u8(marker::REFERENCE);
                out.put_u16(*index);
            }
            Self::EcmaArray(object) => {
                out.put_u8(marker::ECMA_ARRAY);
                out.put_u32(object.0.len() as u32);
                object.write(out);
            }
            Self::StrictArray(values) => {
                out.put_u8(marker::STRICT_ARRAY);
                out.put_u32(values.len() as u32);
                values.iter().for_each(|value| value.write(out));
            }
            Self::Date(millis) => {
                out.put_u8(marker::DATE);
                out.put_f64(*millis);
                out.put_u16(0);
            }
            Self::Unsupported => out.put_u8(marker::UNSUPPORTED),
            Self::Xml(text) => {
                out.put_u8(marker::XML);
                write_long(text, out);
            }
            Self::TypedObject(class, object) => {
                out.put_u8(marker::TYPED_OBJECT);
                write_short(class, out);
                object.write(out);
            }
        }
    }
}

impl Object {
    /// The value of a property, the first of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    fn write(&self, out: &mut BytesMut) {
        for (name, value) in &self.0 {
            write_short(name, out);
            value.write(out);
        }
        out.put_slice(&[0, 0, marker::OBJECT_END]);
    }
}

/// Writes values one behind the other.
pub fn write_all(values: &[Value]) -> bytes::Bytes {
    let mut out = BytesMut::with_capacity(256);
    values.iter().for_each(|value| value.write(&mut out));
    out.freeze()
}

/// Reads values up to the end of `bytes`.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(reader.value()?);
    }
    Ok(values)
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, values: 0 }
    }

    /// Whether all is read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value.
    pub fn value(&mut self) -> Result<Value, AmfError> {
        self.nested(0)
    }

    /// Recursion ends at [`AMF_DEPTH_MAX`].
    fn nested(&mut self, depth: usize) -> Result<Value, AmfError> {
        if depth == AMF_DEPTH_MAX {
            return Err(AmfError::TooDeep);
        }
        self.values += 1;
        if self.values > AMF_VALUES_MAX {
            return Err(AmfError::TooMany);
        }
        let [kind] = self.array()?;
        Ok(match kind {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            marker::BOOLEAN => Value::Boolean(self.array::<1>()? != [0]),
            marker::STRING => Value::String(self.short()?),
            marker::LONG_STRING => Value::String(self.long()?),
            marker::OBJECT => Value::Object(self.properties(depth)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::REFERENCE => Value::Reference(u16::from_be_bytes(self.array()?)),
            marker::ECMA_ARRAY => {
                // The count is a hint that many senders get wrong.
                let _count: [u8; 4] = self.array()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.nested(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            marker::DATE => {
                let millis = f64::from_be_bytes(self.array()?);
                let _zone: [u8; 2] = self.array()?;
                Value::Date(millis)
            }
            marker::UNSUPPORTED => Value::Unsupported,
            marker::XML => Value::Xml(self.long()?),
            marker::TYPED_OBJECT => {
                let class = self.short()?;
                Value::TypedObject(class, self.properties(depth)?)
            }
            other => return Err(AmfError::Type(other)),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Object, AmfError> {
        let mut properties = Vec::new();
        loop {
            // Some encoders leave out the end mark of their metadata.
            if depth == 0 && self.rest.is_empty() {
                return Ok(Object(properties));
            }
            let name = self.short()?;
            if name.is_empty() && self.rest.first() == Some(&marker::OBJECT_END) {
                self.rest = &self.rest[1..];
                return Ok(Object(properties));
            }
            properties.push((name, self.nested(depth + 1)?));
        }
    }

    fn short(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn long(&mut self) -> Result<String, AmfError> {
        let length = u32::from_be_bytes(self.array()?);
        self.text(length as usize)
    }

    fn text(&mut self, length: usize) -> Result<String, AmfError> {
        let (text, rest) = self.rest.split_at_checked(length).ok_or(AmfError::Ended)?;
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(AmfError::Ended)?;
        self.rest = rest;
        Ok(*array)
    }
}

fn write_string(text: &str, out: &mut BytesMut) {
    if text.len() <= usize::from(u16::MAX) {
        out.put_u8(marker::STRING);
        write_short(text, out);
    } else {
        out.put_u8(marker::LONG_STRING);
        write_long(text, out);
    }
}

fn write_short(text: &str, out: &mut BytesMut) {
    let text = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    out.put_u16(text.len() as u16);
    out.put_slice(text);
}

fn write_long(text: &str, out: &mut BytesMut) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::testdata::hex;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e9..1e9f64).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z]{0,9}".prop_map(Value::String),
            Just(Value::String("x".repeat(70_000))),
            Just(Value::Null),
            Just(Value::Undefined),
            Just(Value::Unsupported),
            any::<u16>().prop_map(Value::Reference),
            (0.0..1e12f64).prop_map(Value::Date),
            "[<>a-z]{0,9}".prop_map(Value::Xml),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let object = || prop::collection::vec(("[a-z]{1,5}", inner.clone()), 0..5).prop_map(Object);
            prop_oneof![
                object().prop_map(Value::Object),
                object().prop_map(Value::EcmaArray),
                ("[a-z]{1,5}", object()).prop_map(|(class, object)| Value::TypedObject(class, object)),
                prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_round_trip_in_their_order(values in prop::collection::vec(any_value(), 0..4)) {
            prop_assert_eq!(read_all(&write_all(&values)).unwrap(), values);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![0u8..17, any::<u8>()], 0..200)) {
            let _ = read_all(&bytes);
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let bomb: Vec<u8> = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(200_000);
        assert_eq!(read_all(&bomb), Err(AmfError::TooDeep));
        let objects: Vec<u8> = [marker::OBJECT, 0, 1, b'a'].repeat(200_000);
        assert_eq!(read_all(&objects), Err(AmfError::TooDeep));
        assert_eq!(read_all(&[marker::NULL; 60_000]), Err(AmfError::TooMany));
        let lying = [marker::STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff, marker::NULL];
        assert_eq!(read_all(&lying), Err(AmfError::Ended));
        assert_eq!(read_all(&[marker::LONG_STRING, 0xff, 0xff, 0xff, 0xff]), Err(AmfError::Ended));
    }

    #[test]
    fn an_array_of_ffmpeg_with_a_wrong_count_is_read() {
        // onMetaData, an ECMA array that announces 12 properties and has two.
        let bytes = hex("02000a6f6e4d65746144617461080000000c00086475726174696f6e000000000000000000000577696474680040840000000000000000 09".replace(' ', "").as_str());
        let values = read_all(&bytes).unwrap();
        assert_eq!(values[1].as_object().unwrap().get("width"), Some(&Value::Number(640.0)));
    }
}
