//! The number types of samples: their bounds and their database types.

use std::fmt;

/// A database type of a metric column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 32-bit integer.
    Int4,
    /// 64-bit integer.
    Int8,
    /// 32-bit floating point.
    Float4,
}

/// A value of a metric column; `None` is NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// For [`ColumnType::Int4`].
    Int4(Option<i32>),
    /// For [`ColumnType::Int8`].
    Int8(Option<i64>),
    /// For [`ColumnType::Float4`].
    Float4(Option<f32>),
}

/// The bounds of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// 0–100. Values above 100 by no more than 32-bit rounding errors count as 100.
    Percent,
    /// 0 or more.
    NotNegative,
    /// From 0 to this, inclusive.
    UpTo(i32),
    /// From the first to the second, inclusive.
    Between(i32, i32),
}

/// A number outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfBounds {
    /// The number's name on the wire.
    pub field: &'static str,
    /// The number.
    pub value: Value,
    /// The bounds that it violates.
    pub bounds: Bounds,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.field)?;
        match self.value {
            Value::Int4(Some(value)) => write!(f, "{value}")?,
            Value::Int8(Some(value)) => write!(f, "{value}")?,
            Value::Float4(Some(value)) => write!(f, "{value}")?,
            Value::Int4(None) | Value::Int8(None) | Value::Float4(None) => write!(f, "null")?,
        }
        match self.bounds {
            Bounds::Percent => write!(f, " is outside 0–100"),
            Bounds::NotNegative => write!(f, " is negative"),
            Bounds::UpTo(max) => write!(f, " is outside 0–{max}"),
            Bounds::Between(min, max) => write!(f, " is outside {min} to {max}"),
        }
    }
}

/// Percentages may exceed 100 by this much because of rounding to 32 bits.
const PERCENT_ROUNDING: f32 = 0.01;

/// A number of a sample.
pub trait Number: Copy {
    /// The database type of the number.
    const COLUMN_TYPE: ColumnType;

    /// Returns the number as a column value.
    fn value(self) -> Value;

    /// Converts a column value to the number; `None` if the type differs, or if a required number is NULL.
    fn from_value(value: Value) -> Option<Self>;

    /// Returns the number if it is within the bounds.
    fn within(self, bounds: Bounds) -> Option<Self>;

    /// Like [`within`](Self::within), with an error that names the field.
    ///
    /// # Errors
    /// If the number is out of bounds.
    #[inline]
    fn checked(self, field: &'static str, bounds: Bounds) -> Result<Self, OutOfBounds> {
        self.within(bounds).ok_or_else(|| OutOfBounds { field, value: self.value(), bounds })
    }
}

impl Number for i32 {
    const COLUMN_TYPE: ColumnType = ColumnType::Int4;

    #[inline]
    fn value(self) -> Value {
        Value::Int4(Some(self))
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int4(value) = value { value } else { None }
    }

    #[inline]
    fn within(self, bounds: Bounds) -> Option<Self> {
        let (min, max) = match bounds {
            Bounds::Percent => (0, 100),
            Bounds::NotNegative => (0, i32::MAX),
            Bounds::UpTo(max) => (0, max),
            Bounds::Between(min, max) => (min, max),
        };
        (min..=max).contains(&self).then_some(self)
    }
}

impl Number for i64 {
    const COLUMN_TYPE: ColumnType = ColumnType::Int8;

    #[inline]
    fn value(self) -> Value {
        Value::Int8(Some(self))
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int8(value) = value { value } else { None }
    }

    #[inline]
    fn within(self, bounds: Bounds) -> Option<Self> {
        let (min, max) = match bounds {
            Bounds::Percent => (0, 100),
            Bounds::NotNegative => (0, i64::MAX),
            Bounds::UpTo(max) => (0, i64::from(max)),
            Bounds::Between(min, max) => (i64::from(min), i64::from(max)),
        };
        (min..=max).contains(&self).then_some(self)
    }
}

impl Number for f32 {
    const COLUMN_TYPE: ColumnType = ColumnType::Float4;

    #[inline]
    fn value(self) -> Value {
        Value::Float4(Some(self))
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Float4(value) = value { value } else { None }
    }

    #[inline]
    fn within(self, bounds: Bounds) -> Option<Self> {
        match bounds {
            Bounds::Percent => (0.0..=100.0 + PERCENT_ROUNDING).contains(&self).then_some(self.min(100.0)),
            Bounds::NotNegative => (self.is_finite() && 0.0 <= self).then_some(self),
            Bounds::UpTo(max) => (0.0..=f64::from(max)).contains(&f64::from(self)).then_some(self),
            Bounds::Between(min, max) => {
                (f64::from(min)..=f64::from(max)).contains(&f64::from(self)).then_some(self)
            }
        }
    }
}

impl<T: Number> Number for Option<T> {
    const COLUMN_TYPE: ColumnType = T::COLUMN_TYPE;

    #[inline]
    fn value(self) -> Value {
        match (self, T::COLUMN_TYPE) {
            (Some(number), _) => number.value(),
            (None, ColumnType::Int4) => Value::Int4(None),
            (None, ColumnType::Int8) => Value::Int8(None),
            (None, ColumnType::Float4) => Value::Float4(None),
        }
    }

    fn from_value(value: Value) -> Option<Self> {
        match (value, T::COLUMN_TYPE) {
            (Value::Int4(None), ColumnType::Int4)
            | (Value::Int8(None), ColumnType::Int8)
            | (Value::Float4(None), ColumnType::Float4) => Some(None),
            _ => T::from_value(value).map(Some),
        }
    }

    #[inline]
    fn within(self, bounds: Bounds) -> Option<Self> {
        match self {
            Some(number) => number.within(bounds).map(Some),
            None => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use super::*;

    #[test]
    fn bounds_hold_at_both_ends() {
        assert_eq!(100.001f32.within(Bounds::Percent), Some(100.0));
        for bad in [-0.1, 100.1, f32::NAN, f32::INFINITY] {
            assert_eq!(bad.within(Bounds::Percent), None);
        }
        assert_eq!(1e6f32.within(Bounds::UpTo(1_000_000)), Some(1e6));
        assert_eq!(1_000_001f32.within(Bounds::UpTo(1_000_000)), None);
        assert_eq!(f32::NAN.within(Bounds::UpTo(1)), None);
        assert_eq!((-40.5f32).within(Bounds::Between(-100, 200)), Some(-40.5));
        assert_eq!(200.5f32.within(Bounds::Between(-100, 200)), None);
        assert_eq!(f32::INFINITY.within(Bounds::NotNegative), None);
        assert_eq!(0i64.within(Bounds::NotNegative), Some(0));
        assert_eq!(i64::MAX.within(Bounds::NotNegative), Some(i64::MAX));
        assert_eq!(65_536.within(Bounds::UpTo(65_536)), Some(65_536));
        assert_eq!(65_537.within(Bounds::UpTo(65_536)), None);
        assert_eq!(None::<i64>.within(Bounds::NotNegative), Some(None));
        let refused = Some(-1i64).checked("bytesRecvDelta", Bounds::NotNegative).unwrap_err();
        assert_eq!(refused.to_string(), "bytesRecvDelta -1 is negative");
        let refused = 70_000.checked("coreCount", Bounds::UpTo(65_536)).unwrap_err();
        assert_eq!(refused.to_string(), "coreCount 70000 is outside 0–65536");
    }

    #[test]
    fn a_column_gives_back_what_was_put_into_it() {
        assert_eq!(i32::from_value(7i32.value()), Some(7));
        assert_eq!(Option::<f32>::from_value(None::<f32>.value()), Some(None));
        assert_eq!(Option::<f32>::from_value(Some(1.5f32).value()), Some(Some(1.5)));
        assert_eq!(f32::from_value(Value::Float4(None)), None, "NULL is not a number");
        assert_eq!(Option::<i64>::from_value(7i32.value()), None, "a column of another type");
    }
}
