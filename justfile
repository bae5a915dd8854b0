# One-line recipes only; longer things live in xtask.

default: check

# Everything that a change must pass.
check:
    .ci/run

test:
    cargo xtask test

tidy:
    cargo fmt --all && cargo xtask tidy

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

bench *ARGS:
    cargo xtask bench {{ARGS}}

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps -p hatchery --open

deny:
    cargo deny check
