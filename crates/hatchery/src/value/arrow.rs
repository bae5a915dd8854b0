//! Tables of the Arrow format, as bytes; with the feature `arrow`, as record batches.

use bytes::Bytes;

/// An Arrow IPC stream: a schema and record batches. Cheap to clone. As an argument or a result of a call it travels beside the
/// JSON, and a Python tool sees a `pyarrow` table over the same memory. In any other JSON it is `{"$bytes": base64}`.
///
/// With the feature `arrow` it is read and written as record batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrowStream(pub Bytes);

#[cfg(feature = "arrow")]
mod batches {
    use std::io::{self, Write};

    use arrow_array::RecordBatch;
    use arrow_buffer::Buffer as ArrowBuffer;
    use arrow_ipc::reader::StreamDecoder;
    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::{ArrowError, Schema};

    use super::ArrowStream;
    use crate::error::{Error, ErrorKind, Result};
    use crate::memory::Buffer;

    impl ArrowStream {
        /// The record batches, of a copy of the stream. A stream may lie in memory that another process can write to, and Arrow
        /// trusts offsets once it has checked them: what it has checked must not change.
        ///
        /// # Errors
        /// `validation`, if it is no such stream, or not a whole one.
        pub fn batches(&self) -> Result<Vec<RecordBatch>> {
            let mut rest = ArrowBuffer::from_slice_ref(&self.0[..]);
            let mut decoder = StreamDecoder::new();
            let mut batches = Vec::new();
            while !rest.is_empty() {
                batches.extend(decoder.decode(&mut rest).map_err(|error| failed("read", &error))?);
            }
            decoder.finish().map_err(|error| failed("read", &error))?;
            Ok(batches)
        }

        /// Writes record batches into a buffer of the right size, asked for by `buffer`, which is
        /// `|length| pool.buffer(length)` for one that workers see without another copy.
        ///
        /// # Errors
        /// `validation`, if the batches are not of this schema; those of `buffer`.
        pub fn write(
            schema: &Schema,
            batches: &[RecordBatch],
            buffer: impl FnOnce(usize) -> Result<Buffer>,
        ) -> Result<ArrowStream> {
            let mut length = Counted(0);
            write_to(&mut length, schema, batches)?;
            let mut buffer = buffer(length.0)?;
            write_to(&mut &mut buffer[..], schema, batches)?;
            Ok(ArrowStream(buffer.freeze()))
        }
    }

    fn write_to(out: &mut impl Write, schema: &Schema, batches: &[RecordBatch]) -> Result<()> {
        let written = StreamWriter::try_new(out, schema).and_then(|mut writer| {
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()
        });
        written.map_err(|error| failed("write", &error))
    }

    fn failed(attempted: &str, error: &ArrowError) -> Error {
        Error::new(ErrorKind::Validation, format!("{attempted} an Arrow stream: {error}"))
    }

    /// Keeps nothing but the length.
    struct Counted(usize);

    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use std::sync::Arc;

        use arrow_array::{Array as _, Int64Array};
        use arrow_schema::{DataType, Field};

        use super::*;
        use crate::memory::{Arena, ArenaSettings};

        #[test]
        fn batches_are_written_into_a_buffer_and_read_from_a_copy() {
            let arena = Arena::new(ArenaSettings { limit: 1 << 20, ..ArenaSettings::default() });
            let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
            let column = Arc::new(Int64Array::from_iter_values(0..1000));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            let stream = ArrowStream::write(&schema, &[batch.clone(), batch.clone()], |length| {
                Ok(arena.buffer(length).unwrap())
            });
            let stream = stream.unwrap();
            let read = stream.batches().unwrap();
            assert_eq!(read, [batch.clone(), batch]);
            let numbers = read[0].column(0).to_data().buffers()[0].as_ptr();
            assert!(!stream.0.as_ptr_range().contains(&numbers), "nobody else can write to the column");
            drop(stream);
            assert_eq!(arena.status().slots, 0, "the batches do not hold it");
        }

        #[test]
        fn what_is_no_stream_is_refused() {
            let error = ArrowStream("not a stream".into()).batches().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Validation);
            assert!(error.to_string().starts_with("read an Arrow stream: "), "{error}");
        }
    }
}
