//! The recipes of the user guide about a writable root, as a program.
//!
//! ```text
//! cargo run --example layers
//! ```

use std::error::Error as StdError;
use std::path::Path;

use pinfold::{ChangeKind, Overlay, Rootfs, Sandbox};

type Done = Result<(), Box<dyn StdError>>;

fn main() -> Done {
    let directory = std::env::temp_dir().join(format!("example-layers-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let done = changes().and_then(|()| layers(&directory));
    std::fs::remove_dir_all(&directory)?;
    done?;
    println!("layers: as the guide says");
    Ok(())
}

fn changes() -> Done {
    // guide: begin changes
    let sandbox = Sandbox::builder().overlay(Overlay::memory("64MiB")).timeout("30s").build()?;
    let outcome = sandbox.command("sh").args(["-c", "mkdir /job && echo 1 > /job/x"]).output()?;
    let changes = outcome.changes().ok_or("a root with an overlay has changes")?;
    assert!(changes.iter().all(|change| change.change == ChangeKind::Added));
    assert_eq!(
        changes.iter().map(|change| change.path.as_path()).collect::<Vec<_>>(),
        [Path::new("/job"), Path::new("/job/x")]
    );
    // guide: end changes
    Ok(())
}

fn layers(directory: &Path) -> Done {
    let [base, layer] = ["base", "layer"].map(|name| directory.join(name));
    std::fs::create_dir(&base)?;
    std::fs::write(base.join("colour"), "blue\n")?;
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), base.join(name))?;
    }
    // guide: begin layers
    let over = |layers: &[&Path]| Sandbox::builder().rootfs(Rootfs::layers(layers)).ro_bind("/usr", "/usr").user("0:0");
    let sandbox = over(&[&base]).overlay(Overlay::memory("64MiB")).build()?;
    let (outcome, kept) = sandbox.command("sh").args(["-c", "echo red > /colour"]).output_kept()?;
    assert!(outcome.success());

    let files = kept.files(); //                              what the payload left, read by the host
    assert_eq!(files.read("/colour")?, b"red\n");
    files.write("/note", "by the host")?; //                  and written

    assert_eq!(kept.changes()?.len(), 2); //                  M /colour, A /note
    kept.commit(&layer)?; //                                  a directory that can be a layer
    kept.close()?; //                                         lets go of the memory

    let next = over(&[&layer, &base]).build()?; //            highest precedence first
    assert_eq!(next.command("cat").args(["/colour", "/note"]).output()?.text(), "red\nby the host");
    // guide: end layers
    Ok(())
}
