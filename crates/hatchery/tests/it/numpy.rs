//! NumPy arrays in and out of real workers, in the environment of `cargo xtask test`.

use std::collections::BTreeMap;

use hatchery::{Array, Binary, ErrorKind, Hatchery, Payload, Pool, PythonApp};
use serde_json::{Value, json};

use crate::examples::python_with_packages;
use crate::{Rig, app};

/// A pool of one worker that has NumPy; `None`, having said so, where there is none.
async fn rig(app: PythonApp) -> Option<Rig> {
    let python = python_with_packages()?;
    Some(Rig::of(Hatchery::builder().pool("default", app.python(python))).await)
}

/// The arguments `{name: array}`, the array beside the JSON.
fn args<'a>(name: &'static str, array: &'a Array) -> BTreeMap<&'static str, &'a Array> {
    BTreeMap::from([(name, array)])
}

fn array(dtype: &str, shape: &[usize], data: &[u8]) -> Array {
    Array::new(dtype, shape.to_vec(), data.to_vec().into()).unwrap()
}

#[tokio::test]
async fn an_array_comes_back_as_it_went_whatever_its_type_and_shape() {
    let Some(rig) = rig(app("arrays.py")).await else { return };
    let types = ["|b1", "|i1", "|u1", "<i2", ">i2", "<u4", "<i8", ">u8", "<f2", "<f4", ">f4", "<f8", "<c8", ">c16"];
    let more = ["<U3", "|S5", "|V7", "<M8[ns]", ">m8[D]"];
    let shapes: [&[usize]; 6] = [&[], &[0], &[3, 0, 2], &[5], &[2, 3], &[1, 2, 1, 3]];
    for dtype in types {
        for shape in shapes {
            let sent = counted(dtype, shape);
            let came: Array = rig.pool.call("echo", args("array", &sent)).await.unwrap();
            assert_eq!(came, sent);
        }
    }
    for dtype in types.into_iter().chain(more) {
        let told: Value = rig.pool.call("describe", args("array", &counted(dtype, &[2, 3]))).await.unwrap();
        assert_eq!((&told["dtype"], &told["shape"]), (&json!(dtype), &json!([2, 3])));
    }
    rig.end().await;
}

/// An array whose bytes are 0 and 1 in turn: a bool may have no others.
fn counted(dtype: &str, shape: &[usize]) -> Array {
    let (kind, size) = dtype[1..].split_at(1);
    let size: usize = size.split('[').next().unwrap().parse().unwrap();
    let item = if kind == "U" { 4 * size } else { size };
    let data: Vec<u8> = if kind == "U" { vec![0; item] } else { (0..item).map(|n| (n % 2) as u8).collect() };
    let items = shape.iter().product();
    array(dtype, shape, &data.repeat(items))
}

#[tokio::test]
async fn numbers_mean_the_same_on_both_sides() {
    let Some(rig) = rig(app("arrays.py")).await else { return };
    let told = |array: Array| {
        let pool = rig.pool.clone();
        async move { pool.call::<Value>("describe", args("array", &array)).await.unwrap()["values"].take() }
    };
    assert_eq!(
        told(Array::from_slice(&[2, 2], &[1.5f32, -2.0, 0.0, 4.0]).unwrap()).await,
        json!([[1.5, -2.0], [0.0, 4.0]])
    );
    assert_eq!(told(Array::from_slice(&[3], &[i64::MIN, 0, i64::MAX]).unwrap()).await, json!([i64::MIN, 0, i64::MAX]));
    assert_eq!(told(Array::from_slice(&[2], &[true, false]).unwrap()).await, json!([true, false]));
    assert_eq!(told(Array::from_slice(&[], &[7u8]).unwrap()).await, json!(7));
    assert_eq!(told(array(">u2", &[2], &[0, 1, 1, 2])).await, json!([1, 258]));
    assert_eq!(told(array("<f2", &[2], &[0, 0x38, 0, 0xc0])).await, json!([0.5, -2.0]));
    rig.end().await;
}

#[tokio::test]
async fn arrays_that_do_not_lie_in_c_order_are_put_into_it() {
    let Some(rig) = rig(app("arrays.py")).await else { return };
    let made = |kind: &'static str| made::<Array>(&rig.pool, kind);
    assert_eq!(made("transposed").await, Array::from_slice(&[3, 2], &[0i32, 3, 1, 4, 2, 5]).unwrap());
    assert_eq!(made("strided").await, Array::from_slice(&[3], &[1i64, 4, 7]).unwrap());
    assert_eq!(made("reversed").await, Array::from_slice(&[3], &[2u16, 1, 0]).unwrap());
    assert_eq!(made("fortran").await, Array::from_slice(&[2, 2], &[0f32, 1.0, 2.0, 3.0]).unwrap());
    assert_eq!(made("broadcast").await, Array::from_slice(&[2, 2], &[7u8; 4]).unwrap());
    assert_eq!(made("empty").await, Array::from_slice::<f64>(&[0, 3], &[]).unwrap());
    assert_eq!(made("zero_d").await, Array::from_slice(&[], &[2.5f64]).unwrap());
    assert_eq!(made("bool").await, Array::from_slice(&[2, 1], &[true, false]).unwrap());
    assert_eq!(made("half").await, array("<f2", &[2], &[0, 0x38, 0, 0xc0]));
    assert_eq!(made("big_endian").await, array(">u2", &[2], &[0, 1, 1, 2]));
    let (one, two) = (1f32.to_le_bytes(), 2f32.to_le_bytes());
    assert_eq!(made("complex").await, array("<c8", &[1], &[one, two].concat()));
    rig.end().await;
}

#[tokio::test]
async fn arrays_of_what_are_no_plain_numbers_become_lists() {
    let Some(rig) = rig(app("arrays.py")).await else { return };
    let made = |kind: &'static str| made::<Value>(&rig.pool, kind);
    assert_eq!(made("scalar").await, json!(1.5));
    assert_eq!(made("structured").await, json!([[1, 2.5], [3, 4.5]]));
    assert_eq!(made("object").await, json!([1, "two", null]));
    assert_eq!(made("text").await, json!(["a", "bc"]));
    assert_eq!(made("days").await, json!(["2026-11-21"]));
    assert_eq!(made("masked").await, json!([1, null, 3]));
    assert_eq!(made("long_double").await, json!([1.5]));
    rig.end().await;
}

async fn made<T: serde::de::DeserializeOwned>(pool: &Pool, kind: &str) -> T {
    pool.call("make", json!({ "kind": kind })).await.unwrap_or_else(|error| panic!("{kind}: {error}"))
}

#[tokio::test]
async fn an_array_that_does_not_fit_its_annotation_is_refused_and_the_worker_serves_on() {
    let Some(rig) = rig(app("arrays.py")).await else { return };
    let refused = async |tool: &str, args: Payload| {
        let error = rig.pool.call_payload(tool, args, &hatchery::CallOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
        error.message().to_owned()
    };
    let complex = Payload::encode(&args("array", &array("<c8", &[1], &[0; 8]))).unwrap();
    let told = refused("take", complex).await;
    assert!(told.contains("take: argument `array` cannot be an array") && told.contains("complex64"), "{told}");
    let bytes = Payload::encode(&BTreeMap::from([("array", Binary::from(vec![1, 2]))])).unwrap();
    assert_eq!(refused("echo", bytes).await, "echo: argument `array` must be array, got bytes");
    let unknown = Payload::encode(&args("array", &array("<f3", &[1], &[0; 3]))).unwrap();
    assert!(refused("echo", unknown).await.contains("NumPy has no array of 1 dimensions of <f3"));

    let narrowed: String = rig.pool.call("take", args("array", &counted("<f8", &[2]))).await.unwrap();
    assert_eq!(narrowed, "<f4");
    assert_eq!(rig.pool.workers()[0].generation, 1);
    rig.end().await;
}

#[tokio::test]
async fn digits_say_what_is_wrong_with_images() {
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits/app.py");
    let Some(rig) = rig(PythonApp::file(digits)).await else { return };
    let refused = async |images: &Array| rig.pool.call::<Array>("predict", args("images", images)).await.unwrap_err();
    for shape in [&[][..], &[64], &[2, 64], &[2, 8, 7], &[1, 2, 8, 8]] {
        let error = refused(&counted("<f8", shape)).await;
        assert_eq!((error.kind(), error.python_type()), (ErrorKind::Remote, Some("ValueError")));
        let found = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let found = if shape.len() == 1 { format!("({found},)") } else { format!("({found})") };
        assert_eq!(error.message(), format!("images must be of shape (n, 8, 8); they are of shape {found}"));
    }
    let nan = refused(&Array::from_slice(&[1, 8, 8], &[f64::NAN; 64]).unwrap()).await;
    assert!(nan.message().contains("NaN"), "{nan}");
    let text = refused(&counted("<U1", &[1, 8, 8])).await;
    assert_eq!(text.kind(), ErrorKind::Remote);
    let list = rig.pool.call::<Array>("predict", json!({ "images": "a picture" })).await.unwrap_err();
    assert_eq!(list.kind(), ErrorKind::Validation);
    assert_eq!(list.message(), "predict: argument `images` must be array, got str ('a picture')");

    let predicted: Array = rig.pool.call("predict", args("images", &counted("|u1", &[3, 8, 8]))).await.unwrap();
    assert_eq!((predicted.dtype(), predicted.shape()), ("<i8", &[3][..]));
    rig.end().await;
}
