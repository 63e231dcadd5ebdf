//! `steward vision`: what it is told, and how it is asked.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use steward::look;

#[derive(Debug, Subcommand)]
pub(crate) enum VisionCommand {
    /// What the model sees in pictures; 1 when one of them cannot be read
    Run {
        #[command(flatten)]
        args: VisionArgs,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Write copies here, redacted, with the surest box
        #[arg(long, value_name = "DIR")]
        annotate: Option<PathBuf>,
    },
    /// How long it takes on this machine, and how much of what people marked is found
    Bench {
        #[command(flatten)]
        args: VisionArgs,
        /// What people marked in these pictures: precision, recall and mAP of the model
        #[arg(long, value_name = "FILE")]
        annotations: Option<PathBuf>,
        /// What another runtime saw in them, to stand beside it
        #[arg(long, value_name = "FILE", requires = "annotations")]
        reference: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VisionArgs {
    /// The manifest of a model, or the name of a built-in one
    #[arg(long, value_name = "MANIFEST")]
    model: String,
    /// A picture; may be given more than once
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    image: Vec<PathBuf>,
    /// Every JPEG in a folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Has the pictures looked at; answers whether all of them could be.
pub(crate) fn look_at(command: VisionCommand) -> anyhow::Result<bool> {
    let (args, json, annotate, bench, marked) = match command {
        VisionCommand::Run { args, json, annotate } => (args, json, annotate, false, None),
        VisionCommand::Bench { args, annotations, reference } => {
            let marked = annotations.map(|annotations| look::Marked { annotations, reference });
            (args, false, None, true, marked)
        }
    };
    let VisionArgs { model, image: mut pictures, dir } = args;
    if let Some(dir) = dir {
        pictures.extend(look::pictures_in(&dir)?);
    }
    let request = look::Request { model, pictures, json, annotate, bench, marked };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let all = look::look(&request, &mut stdout, &mut std::io::stderr().lock())?;
    stdout.flush()?;
    Ok(all)
}
