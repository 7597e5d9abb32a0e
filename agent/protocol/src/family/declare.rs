//! The macro that declares a family: one declaration yields the wire types, the checks, the columns and the metrics.

/// Expands to `Some` of the argument, or `None` if there is none.
macro_rules! maybe {
    () => {
        None
    };
    ($given:expr) => {
        Some($given)
    };
}

/// Expands to the given text, or an empty one.
macro_rules! text_or_empty {
    () => {
        ""
    };
    ($given:expr) => {
        $given
    };
}

/// Expands to the given finest rollup, or minutes.
macro_rules! finest_rollup {
    () => {
        $crate::family::FinestRollup::Minute
    };
    ($given:ident) => {
        $crate::family::FinestRollup::$given
    };
}

/// Expands to whether there is an argument.
macro_rules! is_given {
    () => {
        false
    };
    ($given:path) => {
        true
    };
}

/// Declares the measurement of one table, in a file of its own; `disk.rs` shows every part.
///
/// A number is declared as `field "name on the wire" => column: type, bounds;`, a label of a series as `field "name on
/// the wire" => column, maximum characters;`. Numbers that a sample may lack are declared in `optional` and have the
/// type `Option`. A metric is declared as `kind "name" = column, unit;` with the kinds of [`table`](super::table):
/// `gauge`, `level` (a gauge whose last value counts), `rate` (an amount per second), `per_hour` (the same for rare
/// events), and `ratio`, which ends with `, over column, scale`. What is sampled about once a minute is `rolled up from
/// Hour`: rollups of one minute would repeat the samples.
macro_rules! family {
    (
        $(#[doc = $doc:tt])+
        $measurement:ident, $numbers:ident in $table:literal $(, rolled up from $finest_rollup:ident)?;
        $(series $key:literal named by $names:expr, at most $per_sample_max:expr => {
            $(#[doc = $name_doc:tt])+
            $name:ident $name_wire:tt => $name_column:ident, $name_max:expr;
            $(
                $(#[doc = $label_doc:tt])+
                $(#[serde($($label_serde:tt)*)])?
                $label:ident $label_wire:tt => $label_column:ident, $label_max:expr;
            )*
        })?
        required {
            $(
                $(#[doc = $required_doc:tt])+
                $(#[serde($($required_serde:tt)*)])?
                $required:ident $required_wire:tt => $required_column:ident: $required_type:ty, $required_bounds:expr;
            )*
        }
        optional {
            $(
                $(#[doc = $optional_doc:tt])+
                $(#[serde($($optional_serde:tt)*)])?
                $optional:ident $optional_wire:tt => $optional_column:ident: $optional_type:ty, $optional_bounds:expr;
            )*
        }
        $(
            family $family:literal {
                $(
                    $kind:ident $metric:literal = $of:ident, $unit:ident
                        $(, over $over:ident, $scale:literal)?;
                )*
            }
        )+
        $(histogram $histogram:expr;)?
        $(completed by $complete:path;)?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $measurement {
            $(
                $(#[doc = $name_doc])+
                #[serde(rename = $name_wire)]
                pub $name: String,
                $(
                    $(#[doc = $label_doc])+
                    #[serde(default, rename = $label_wire $(, $($label_serde)*)?)]
                    pub $label: String,
                )*
            )?
            $(
                $(#[doc = $required_doc])+
                #[serde(rename = $required_wire $(, $($required_serde)*)?)]
                pub $required: $required_type,
            )*
            $(
                $(#[doc = $optional_doc])+
                #[serde(
                    default,
                    rename = $optional_wire,
                    skip_serializing_if = "Option::is_none"
                    $(, $($optional_serde)*)?
                )]
                pub $optional: Option<$optional_type>,
            )*
        }

        /// The numbers of
        #[doc = concat!("[`", stringify!($measurement), "`], as columns of `", $table, "`.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $numbers {
            $(
                $(#[doc = $required_doc])+
                pub $required_column: $required_type,
            )*
            $(
                $(#[doc = $optional_doc])+
                pub $optional_column: Option<$optional_type>,
            )*
        }

        const FIELDS: &[$crate::family::Field] = &[
            $(
                $crate::family::Field {
                    name: $required_wire,
                    api_name: camel_case!($required_column),
                    column: $crate::family::Column {
                        name: stringify!($required_column),
                        column_type: <$required_type as $crate::family::Number>::COLUMN_TYPE,
                        is_optional: false,
                    },
                    bounds: $required_bounds,
                    doc: concat!($($required_doc),+),
                },
            )*
            $(
                $crate::family::Field {
                    name: $optional_wire,
                    api_name: camel_case!($optional_column),
                    column: $crate::family::Column {
                        name: stringify!($optional_column),
                        column_type: <$optional_type as $crate::family::Number>::COLUMN_TYPE,
                        is_optional: true,
                    },
                    bounds: $optional_bounds,
                    doc: concat!($($optional_doc),+),
                },
            )*
        ];

        const COLUMNS: &[$crate::family::Column] = &[
            $crate::family::TS,
            $crate::family::AGENT_KEY,
            $($crate::family::Column { name: $key, ..$crate::family::AGENT_KEY },)?
            $(
                $crate::family::Column {
                    name: stringify!($required_column),
                    column_type: <$required_type as $crate::family::Number>::COLUMN_TYPE,
                    is_optional: false,
                },
            )*
            $(
                $crate::family::Column {
                    name: stringify!($optional_column),
                    column_type: <$optional_type as $crate::family::Number>::COLUMN_TYPE,
                    is_optional: true,
                },
            )*
        ];

        $(
            const LABELS: &[$crate::family::Label] = &[
                $crate::family::Label {
                    name: $name_wire,
                    api_name: camel_case!($name),
                    column: stringify!($name_column),
                    chars_min: 1,
                    chars_max: $name_max,
                    doc: concat!($($name_doc),+),
                },
                $(
                    $crate::family::Label {
                        name: $label_wire,
                        api_name: camel_case!($label),
                        column: stringify!($label_column),
                        chars_min: 0,
                        chars_max: $label_max,
                        doc: concat!($($label_doc),+),
                    },
                )*
            ];
        )?

        const TABLE: &$crate::family::Table = &$crate::family::Table {
            name: $table,
            doc: concat!($($doc),+),
            fields: FIELDS,
            series: maybe!($($crate::family::Series {
                key_column: $key,
                names: $names,
                labels: LABELS,
                per_sample_max: $per_sample_max,
            })?),
            columns: COLUMNS,
            families: &[
                $(
                    $crate::family::FamilyMetrics {
                        name: $family,
                        metrics: &[$(
                            $crate::family::table::$kind(
                                COLUMNS, $metric, stringify!($of), $crate::family::Unit::$unit
                                $(, stringify!($over), $scale)?
                            ),
                        )*],
                    },
                )+
            ],
            metrics: &[$($(
                $crate::family::table::$kind(
                    COLUMNS, $metric, stringify!($of), $crate::family::Unit::$unit
                    $(, stringify!($over), $scale)?
                ),
            )*)+],
            histogram: maybe!($($histogram)?),
            finest_rollup: finest_rollup!($($finest_rollup)?),
            retired: &[],
        };

        impl $crate::family::Measurement for $measurement {
            type Numbers = $numbers;
            const DOC: &'static str = concat!($($doc),+);
            const FIELDS: &'static [$crate::family::Field] = FIELDS;

            #[inline]
            fn numbers(&self) -> Result<$numbers, $crate::family::OutOfBounds> {
                use $crate::family::Number as _;
                Ok($numbers {
                    $($required_column: self.$required.checked($required_wire, $required_bounds)?,)*
                    $($optional_column: self.$optional.checked($optional_wire, $optional_bounds)?,)*
                })
            }

            fn name(&self) -> &str {
                text_or_empty!($(&self.$name)?)
            }

            fn for_each_label<'a>(
                &'a self,
                mut receive: impl FnMut(&'static $crate::family::Label, &'a str),
            ) {
                let texts: &[&'a str] = &[$(&self.$name, $(&self.$label,)*)?];
                let labels = TABLE.series.iter().flat_map(|series| series.labels);
                labels.zip(texts).for_each(|(label, text)| receive(label, text));
            }
        }

        impl $crate::family::Numbers for $numbers {
            const TABLE: &'static $crate::family::Table = TABLE;
            const IS_COMPLETED: bool = is_given!($($complete)?);

            #[inline]
            fn for_each_value(&self, mut receive: impl FnMut($crate::family::Value)) {
                use $crate::family::Number as _;
                $(receive(self.$required_column.value());)*
                $(receive(self.$optional_column.value());)*
            }

            fn from_values(mut next: impl FnMut() -> Option<$crate::family::Value>) -> Option<Self> {
                use $crate::family::Number as _;
                Some(Self {
                    $($required_column: <$required_type>::from_value(next()?)?,)*
                    $($optional_column: Option::<$optional_type>::from_value(next()?)?,)*
                })
            }

            $(
                #[inline]
                fn complete(self, earlier: Option<(Self, i64)>) -> Result<Self, &'static str> {
                    $complete(self, earlier)
                }
            )?
        }
    };
}
