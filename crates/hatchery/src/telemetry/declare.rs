//! How events are declared: once, with their names and with words for people. The type, its JSON form and its entry in the
//! catalogue are made from that, so that none can say what the others do not.

use super::catalogue::FieldKind;

/// What every event can tell of itself, whatever it is about.
pub(super) trait Told {
    /// Where it stands among the kinds of its room.
    fn index(&self) -> usize;

    /// Shows each field by its key.
    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'static str, &'a dyn super::field::FieldValue));
}

/// A struct whose fields are those of an event: `/// doc  pub struct Log { /// doc  pub key: Type, /// doc  pub other: Type as "key" }`.
macro_rules! record {
    (
        $(#[doc = $about:literal])+
        pub struct $Name:ident {
            $( $(#[doc = $doc:literal])+ pub $field:ident: $Field:ty $(as $key:literal)? ),* $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Name {
            $( $(#[doc = $doc])+ pub $field: $Field ),*
        }

        impl $Name {
            pub(in crate::telemetry) const FIELDS: &'static [$crate::telemetry::catalogue::FieldKind] =
                &[$( $crate::telemetry::declare::field::<$Field>(
                    $crate::telemetry::declare::key!($field $($key)?),
                    concat!($($doc),+),
                ) ),*];

            pub(in crate::telemetry) fn visit<'a>(
                &'a self,
                see: &mut dyn FnMut(&'static str, &'a dyn $crate::telemetry::field::FieldValue),
            ) {
                $( see($crate::telemetry::declare::key!($field $($key)?), &self.$field); )*
            }
        }
    };
}

/// A struct that is the only kind of event of its room: a [`record`] with a name behind it.
macro_rules! event {
    (
        $(#[doc = $about:literal])+
        pub struct $Name:ident = $name:literal { $($fields:tt)* }
    ) => {
        $crate::telemetry::declare::record! { $(#[doc = $about])+ pub struct $Name { $($fields)* } }

        impl $Name {
            pub(in crate::telemetry) const KINDS: &'static [$crate::telemetry::catalogue::EventKind] =
                &[$crate::telemetry::catalogue::EventKind::emitted($name, concat!($($about),+), Self::FIELDS)];
        }

        impl $crate::telemetry::declare::Told for $Name {
            fn index(&self) -> usize {
                0
            }

            fn visit<'a>(&'a self, see: &mut dyn FnMut(&'static str, &'a dyn $crate::telemetry::field::FieldValue)) {
                $Name::visit(self, see);
            }
        }
    };
}

/// An enum of which each variant is a kind of event. Its fields stand in it, or in a [`record`].
macro_rules! events {
    (
        $(#[doc = $about:literal])+
        pub enum $Room:ident {
            $(
                $(#[doc = $doc:literal])+
                $Kind:ident = $name:literal
                $( ($inner:ident: $Inner:ident) )?
                $( { $( $(#[doc = $field_doc:literal])+ $field:ident: $Field:ty $(as $key:literal)? ),* $(,)? } )?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $Room {
            $(
                $(#[doc = $doc])+
                $Kind $( ($Inner) )? $( { $( $(#[doc = $field_doc])+ $field: $Field ),* } )?
            ),*
        }

        impl $Room {
            pub(in crate::telemetry) const KINDS: &'static [$crate::telemetry::catalogue::EventKind] = &[$(
                $crate::telemetry::catalogue::EventKind::emitted(
                    $name,
                    concat!($($doc),+),
                    $crate::telemetry::declare::fields!($($Inner)? $( { $( $Field, $field $($key)?, ($($field_doc),+) );* } )?),
                )
            ),*];
        }

        impl $crate::telemetry::declare::Told for $Room {
            fn index(&self) -> usize {
                enum Index {
                    $($Kind),*
                }
                let index = match self {
                    $( $Room::$Kind { .. } => Index::$Kind ),*
                };
                index as usize
            }

            fn visit<'a>(&'a self, see: &mut dyn FnMut(&'static str, &'a dyn $crate::telemetry::field::FieldValue)) {
                match self {
                    $(
                        $Room::$Kind $( ($inner) )? $( { $($field),* } )? => {
                            $( $inner.visit(see); )?
                            $( $( see($crate::telemetry::declare::key!($field $($key)?), $field); )* )?
                        }
                    )*
                }
            }
        }
    };
}

/// The fields of a variant: none, those of a record, or its own.
macro_rules! fields {
    () => { &[] };
    ($Inner:ident) => { $Inner::FIELDS };
    ({ $( $Field:ty, $field:ident $($key:literal)?, ($($doc:literal),+) );* }) => {
        &[$( $crate::telemetry::declare::field::<$Field>(
            $crate::telemetry::declare::key!($field $($key)?),
            concat!($($doc),+),
        ) ),*]
    };
}

/// What a field is called in JSON: as in Rust, unless said otherwise.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(super) use {event, events, fields, key, record};

pub(super) const fn field<F: super::field::FieldType>(name: &'static str, doc: &'static str) -> FieldKind {
    FieldKind {
        name,
        is: F::IS,
        unit: super::catalogue::unit(name),
        optional: F::IS_OPTIONAL,
        doc: doc.trim_ascii_start(),
    }
}
