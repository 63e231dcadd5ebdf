//! A USB camera (UVC) by Video4Linux, where the program was built with the feature `usb-camera`.
//!
//! The camera compresses the pictures itself (MJPEG); one that cannot is refused, and `ffmpeg` can read it.
//! A thread waits for its frames and hands on one at a time: what nobody takes, the driver drops. The
//! thread ends within a moment when nobody wants frames any more, so that the device is free again.
//!
//! No camera was there to try it with: what is tested is that a device that is none is told as such.

#[cfg(feature = "usb-camera")]
mod frames {
    use std::io;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use bytes::Bytes;
    use linuxvideo::format::{PixFormat, PixelFormat};
    use linuxvideo::stream::ReadStream;
    use linuxvideo::{Device, Fract};
    use tokio::sync::mpsc;

    /// What is asked for; the driver takes what it has nearest to it.
    const SIZE: (u32, u32) = (1280, 720);
    /// Frames a second that are asked for: more only cost time.
    const RATE: u32 = 5;
    /// Between two looks at whether a frame is there.
    const LOOK: Duration = Duration::from_millis(20);

    /// What the thread has to say: a frame, or why there are no more.
    pub(super) type Frame = Result<Bytes, String>;

    /// Starts the thread.
    pub(super) fn start(device: &Path) -> io::Result<mpsc::Receiver<Frame>> {
        // One waits while it is taken; the thread waits for it, and the driver drops meanwhile.
        let (tell, frames) = mpsc::channel(1);
        let device = device.to_owned();
        thread::Builder::new().name("usb camera".to_owned()).spawn(move || {
            if let Err(error) = film(&device, &tell) {
                // Nobody may want to know any more.
                drop(tell.blocking_send(Err(error.to_string())));
            }
        })?;
        Ok(frames)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a thread that waits for a driver, and nothing else"
    )]
    fn film(device: &Path, tell: &mpsc::Sender<Frame>) -> io::Result<()> {
        let mut stream = open(device)?;
        while !tell.is_closed() {
            if stream.will_block()? {
                thread::sleep(LOOK);
                continue;
            }
            let frame = stream.dequeue(|view| Ok(Bytes::copy_from_slice(&view)))?;
            if tell.blocking_send(Ok(frame)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn open(device: &Path) -> io::Result<ReadStream> {
        let wanted = PixFormat::new(SIZE.0, SIZE.1, PixelFormat::MJPG);
        let camera = Device::open(device)?.video_capture(wanted)?;
        let given = camera.format().pixel_format();
        if given != PixelFormat::MJPG && given != PixelFormat::JPEG {
            let why = format!("it has no MJPEG, only {given}; read it with ffmpeg (command = …)");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        // Many cameras have one rate only: then they say no, and keep it.
        drop(camera.set_frame_interval(Fract::new(1, RATE)));
        camera.into_stream()
    }
}

use std::path::Path;

use super::live::Live;

/// Reads the camera until it ends or hangs; answers why.
#[cfg(feature = "usb-camera")]
pub(super) async fn run(device: &Path, live: &mut Live) -> String {
    use super::live::Bytestream;
    let why = match frames::start(device) {
        Ok(frames) => live.read(Bytestream::Frames(frames)).await,
        Err(error) => error.to_string(),
    };
    format!("{}: {why}", device.display())
}

/// Built without: the configuration was refused already.
#[cfg(not(feature = "usb-camera"))]
pub(super) async fn run(device: &Path, _: &mut Live) -> String {
    format!("{}: this program was built without USB cameras", device.display())
}
