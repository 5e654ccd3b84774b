//! The smallest program: run a command in a default sandbox and print what it wrote.
//!
//! ```text
//! cargo run --example hello -- python3 -c 'print(6 * 7)'
//! ```

fn main() -> pinfold::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().unwrap_or_else(|| "id".into());
    let sandbox = pinfold::Sandbox::builder().timeout("5s").build()?;
    let outcome = sandbox.command(program).args(words).output()?;
    print!("{}", outcome.text());
    eprint!("{}", outcome.stderr_text());
    eprintln!("{} in {:?}", outcome.detail(), outcome.duration());
    Ok(())
}
