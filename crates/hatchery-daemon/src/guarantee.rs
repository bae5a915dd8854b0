//! What the library promises about processes, as JSON.

use hatchery::{Guarantee, Layer, LayerState};
use serde::Serialize;

/// `guarantee` of `GET /v1/status`.
#[derive(Serialize)]
pub(crate) struct Promise {
    promise: &'static str,
    layers: Vec<Means>,
}

#[derive(Serialize)]
struct Means {
    name: &'static str,
    /// Null: nobody asked for it.
    holds: Option<bool>,
    /// How it holds, or why it does not; may be empty.
    detail: String,
}

impl Promise {
    /// In one sentence.
    pub(crate) fn promise(&self) -> &'static str {
        self.promise
    }

    pub(crate) fn of(guarantee: &Guarantee) -> Promise {
        Promise { promise: guarantee.promise(), layers: guarantee.layers().iter().map(Means::of).collect() }
    }
}

impl Means {
    fn of(layer: &Layer) -> Means {
        let (holds, detail) = match &layer.state {
            LayerState::Holds(how) => (Some(true), how.clone()),
            LayerState::Lost(why) => (Some(false), why.clone()),
            LayerState::NotAsked => (None, "not asked for".to_owned()),
        };
        Means { name: layer.name, holds, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_holds_or_is_lost_or_was_not_wanted() {
        let json = |state| serde_json::to_value(Means::of(&Layer { name: "mark", state })).unwrap();
        assert_eq!(
            [LayerState::Holds("so".into()), LayerState::Lost("why".into()), LayerState::NotAsked].map(json),
            [
                serde_json::json!({ "name": "mark", "holds": true, "detail": "so" }),
                serde_json::json!({ "name": "mark", "holds": false, "detail": "why" }),
                serde_json::json!({ "name": "mark", "holds": null, "detail": "not asked for" }),
            ]
        );
    }
}
