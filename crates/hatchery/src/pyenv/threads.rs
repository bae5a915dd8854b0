//! How many threads the numeric libraries of a worker start: by themselves each takes every core, in every worker.

use std::ffi::{OsStr, OsString};

/// The variables by which libraries are told, each before it is imported: OpenMP (PyTorch, scikit-learn, XGBoost,
/// LightGBM, FAISS), the kinds of BLAS below NumPy and SciPy, NumExpr and Numba.
const VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
];

/// What limits each library to as many threads as the worker runs calls at once.
///
/// They are where a worker starts from: a variable of the host's environment goes before them, and one of the pool's
/// before that.
pub(crate) fn thread_limits(threads: usize) -> Vec<(&'static str, String)> {
    VARIABLES.map(|name| (name, threads.max(1).to_string())).to_vec()
}

/// [`thread_limits`], under what is set already: `env` as it is, after what is `said` for the pool, after the limits that none of
/// them and not the host either names.
pub(super) fn under(
    env: &[(OsString, OsString)],
    said: &[(String, String)],
    threads: usize,
    is_set: impl Fn(&str) -> bool,
) -> Vec<(OsString, OsString)> {
    let is_ours = |name: &str| env.iter().any(|(key, _)| key == OsStr::new(name));
    let is_said = |name: &str| said.iter().any(|(key, _)| key == name);
    let is_free = |name: &str| !is_ours(name) && !is_said(name) && !is_set(name);
    let usual = thread_limits(threads).into_iter().filter(|(name, _)| is_free(name));
    let usual = usual.map(|(name, value)| (name.into(), value.into()));
    let said = said.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| (name.into(), value.into()));
    usual.chain(said).chain(env.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(env: Vec<(OsString, OsString)>) -> Vec<String> {
        env.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect()
    }

    #[test]
    fn each_library_gets_as_many_threads_as_there_are_calls_at_once() {
        for (threads, expected) in [(0, "1"), (1, "1"), (4, "4")] {
            let limits = thread_limits(threads);
            assert!(limits.iter().any(|(name, _)| *name == "OMP_NUM_THREADS"));
            assert!(limits.iter().all(|(_, value)| value == expected), "{limits:?}");
        }
    }

    #[test]
    fn what_is_set_already_stays_and_the_rest_is_added() {
        let pool = [("OMP_NUM_THREADS".into(), "8".into()), ("K".into(), "V".into())];
        assert_eq!(
            text(under(&pool, &[], 2, |name| name == "MKL_NUM_THREADS")),
            [
                "OPENBLAS_NUM_THREADS=2",
                "BLIS_NUM_THREADS=2",
                "VECLIB_MAXIMUM_THREADS=2",
                "NUMEXPR_NUM_THREADS=2",
                "NUMBA_NUM_THREADS=2",
                "OMP_NUM_THREADS=8",
                "K=V",
            ]
        );
        assert_eq!(text(under(&pool, &[], 2, |_| true)), ["OMP_NUM_THREADS=8", "K=V"]);
        let said =
            [("OMP_NUM_THREADS", "1"), ("MKL_NUM_THREADS", "3")].map(|(name, n)| (name.to_owned(), n.to_owned()));
        assert_eq!(text(under(&pool, &said, 2, |_| true)), ["MKL_NUM_THREADS=3", "OMP_NUM_THREADS=8", "K=V"]);
    }
}
