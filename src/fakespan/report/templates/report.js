"use strict";
(() => {
  const scan = JSON.parse(document.getElementById("scan").textContent);
  const by = (id) => document.getElementById(id);
  const media = by("media"), plot = by("plot"), head = by("head"), scroller = by("scroller");
  const context = by("context"), loop = by("loop");
  const FRAME_S = 0.04;
  let position = scan.axis.start; // seconds; of the playhead when there is no player
  let current = -1; // the chosen segment
  let isLearning = false; // while the player looks for the end of the file
  let range = null; // what is being played: {from, to}, or null for the file as it is

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const share = (time) => (time - scan.axis.start) / scan.axis.span; // of the timeline
  const now = () => (isPlayable() ? media.currentTime : position);
  const isPlayable = () => media !== null && media.error === null;

  function clock(time) {
    const hundredths = Math.round(time * 100), seconds = Math.floor(hundredths / 100);
    const two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}.${two(hundredths % 100)}`;
  }

  // -- showing where we are

  function show() {
    const time = now();
    head.style.left = `${clamp(share(time), 0, 1) * 100}%`;
    head.setAttribute("aria-valuenow", time.toFixed(2));
    head.setAttribute("aria-valuetext", clock(time));
    by("clock").textContent = clock(time);
    showBoxes(time);
  }

  function follow() { // keep the playhead in view of a zoomed timeline
    const x = share(now()) * plot.clientWidth - scroller.scrollLeft;
    if (x < 0 || x > scroller.clientWidth) scroller.scrollLeft += x - scroller.clientWidth / 3;
  }

  function pictureArea() { // the picture inside the player's black borders
    const scale = Math.min(media.clientWidth / media.videoWidth, media.clientHeight / media.videoHeight);
    const width = media.videoWidth * scale, height = media.videoHeight * scale;
    return { left: (media.clientWidth - width) / 2, top: (media.clientHeight - height) / 2, width, height };
  }

  const boxes = !by("boxes") ? [] : scan.tracks.map((track) => {
    const box = document.createElement("div"), label = document.createElement("span");
    box.hidden = true;
    box.append(label);
    by("boxes").append(box);
    return { track, box, label };
  });

  function showBoxes(time) {
    const area = media && media.videoWidth ? pictureArea() : null;
    for (const { track, box, label } of boxes) {
      const isSuspect = scan.segments.some((s) => s.track === track.id && s.modality !== "audio" && s.start <= time && time < s.end);
      box.hidden = !area || time < track.start || time > track.end || (track.whole && !isSuspect);
      if (box.hidden) continue;
      const [x, y, width, height] = track.box;
      box.style.left = `${area.left + x * area.width}px`;
      box.style.top = `${area.top + y * area.height}px`;
      box.style.width = `${width * area.width}px`;
      box.style.height = `${height * area.height}px`;
      box.classList.toggle("suspect", isSuspect);
      box.classList.toggle("high", area.top + y * area.height < 20); // the label has no room above
      label.textContent = `${track.whole ? "picture" : `face ${track.id}`}${isSuspect ? ": suspected" : ""}`;
    }
  }

  function choose(number) {
    current = number;
    for (const element of document.querySelectorAll("tr[data-segment], .segment")) {
      element.classList.toggle("current", Number(element.dataset.segment) === number);
    }
    const row = document.querySelector(`tr[data-segment="${number}"]`), box = row && row.closest(".scroll");
    if (box && box.scrollHeight > box.clientHeight) {
      box.scrollTop = clamp(box.scrollTop, row.offsetTop + row.offsetHeight - box.clientHeight, row.offsetTop - 40);
    }
  }

  // -- moving and playing

  function seek(time) {
    position = clamp(time, scan.start, scan.start + scan.span);
    if (isPlayable() && !isLearning) media.currentTime = position;
    show();
  }

  function start() {
    media.play().catch(() => {}); // a refusal shows as an error event, or the next seek interrupts it
  }

  function playSegment(number, wanted) { // wanted: seconds before and after it; undefined: as the user chose
    const segment = scan.segments[number];
    if (!segment) return;
    if (isLearning) {
      choose(number); // played when the end is known
      return;
    }
    const around = wanted ?? (context.checked ? 0.5 : 0);
    const last = isPlayable() && media.duration ? media.duration - FRAME_S : Infinity; // at its very end a player stops by itself
    range = { from: Math.max(segment.start - around, scan.start), to: Math.min(segment.end + around, last) };
    choose(number);
    seek(range.from);
    follow();
    if (isPlayable()) start();
  }

  const take = by("reference"); // the untouched take, aligned by its sound
  let takeEnd = Infinity;

  function playTake(from, to, isAlongside) { // alongside: without its sound, while the scanned file plays the same
    takeEnd = to + scan.offset;
    take.muted = isAlongside;
    take.currentTime = Math.max(from + scan.offset, 0);
    take.play().catch(() => {});
    if (isPlayable() && !isAlongside) media.pause();
    if (!isAlongside || !isPlayable() || isLearning) return;
    range = { from, to };
    seek(from);
    start();
  }

  function keepRange() { // stop or repeat exactly at the end of the segment
    if (!range || media.paused || media.seeking) return;
    const time = media.currentTime;
    if (time < range.from - 0.3 || time > range.to + 1) range = null; // the user went elsewhere
    else if (time >= range.to && loop.checked) seek(range.from);
    else if (time >= range.to) {
      media.pause();
      seek(range.to);
      range = null;
    }
  }

  function frame() {
    keepRange();
    show();
    follow();
    if (!media.paused) requestAnimationFrame(frame);
  }

  function free(time) { // to a place outside of any segment's playing
    range = null;
    seek(time);
  }

  function toggle() {
    if (!isPlayable()) return;
    if (media.paused) start();
    else media.pause();
  }

  function step(n) {
    if (!scan.segments.length) return;
    const time = now();
    const last = scan.segments.length - 1;
    const after = scan.segments.findIndex((s) => s.start > time);
    const fresh = n > 0 ? (after < 0 ? last : after) : clamp((after < 0 ? last + 1 : after) - 1, 0, last);
    playSegment(current < 0 ? fresh : clamp(current + n, 0, last));
  }

  // -- what the user does

  const timeAt = (event) => {
    const area = plot.getBoundingClientRect();
    return scan.axis.start + ((event.clientX - area.left) / area.width) * scan.axis.span;
  };
  plot.addEventListener("click", (event) => {
    if (event.target.closest("#head")) return;
    const mark = event.target.closest(".segment");
    if (mark) playSegment(Number(mark.dataset.segment));
    else free(timeAt(event));
  });
  head.addEventListener("pointerdown", (event) => head.setPointerCapture(event.pointerId));
  head.addEventListener("pointermove", (event) => {
    if (head.hasPointerCapture(event.pointerId)) free(timeAt(event));
  });
  document.addEventListener("click", (event) => {
    const play = event.target.closest("button.play"), jump = event.target.closest("button.seek");
    if (play) playSegment(Number(play.dataset.segment), play.dataset.around && Number(play.dataset.around));
    if (jump) free(Number(jump.dataset.time));
    const compare = event.target.closest("button.compare");
    if (compare) playTake(Number(compare.dataset.from), Number(compare.dataset.to), Boolean(compare.dataset.both));
  });
  by("play").addEventListener("click", toggle);
  by("previous").addEventListener("click", () => step(-1));
  by("next").addEventListener("click", () => step(1));
  by("speed").addEventListener("change", (event) => { if (media) media.playbackRate = Number(event.target.value); });

  const zoom = by("zoom");
  function magnify() {
    plot.className = `z${zoom.value}`;
    for (const ticks of document.querySelectorAll(".ticks")) {
      if (ticks.dataset.zoom === zoom.value) ticks.removeAttribute("display");
      else ticks.setAttribute("display", "none");
    }
    scroller.scrollLeft = share(now()) * plot.clientWidth - scroller.clientWidth / 2;
  }
  if (zoom) {
    zoom.addEventListener("change", magnify);
    addEventListener("beforeprint", () => { zoom.value = "1"; magnify(); });
  }

  const keys = {
    " ": toggle,
    n: () => step(1),
    p: () => step(-1),
    l: () => loop.click(),
    c: () => context.click(),
    ArrowLeft: (event) => free(now() - (event.shiftKey ? 1 : FRAME_S)),
    ArrowRight: (event) => free(now() + (event.shiftKey ? 1 : FRAME_S)),
    Home: () => free(scan.axis.start),
    End: () => free(scan.axis.start + scan.axis.span),
  };
  document.addEventListener("keydown", (event) => {
    const isOnHead = event.target === head;
    const isBusy = event.target.closest("button, select, input, video, audio, .scroll");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[key]) return;
    const isLetter = key.length === 1 && key !== " ";
    if (isBusy && !(isLetter && !event.target.closest("select"))) return; // its own keys come first
    if ((key === "Home" || key === "End") && !isOnHead) return;
    event.preventDefault();
    keys[key](event);
  });

  // -- the player

  function explain() {
    const trouble = by("trouble");
    const kind = scan.codecs.length ? ` (${scan.codecs.join(", ")})` : "";
    if (media.error) {
      trouble.textContent = `The file could not be played. Either it is no longer where this page looks for it (${scan.source}), or this browser cannot play its format${kind}. The times below hold all the same; a copy as MP4 (H.264, AAC) will play.`;
      document.body.classList.add("no-player");
    } else if (scan.hasVideo && media.readyState > 0 && media.videoWidth === 0) {
      trouble.textContent = `This browser plays the sound but cannot show the picture${kind}. A copy as MP4 (H.264, AAC) will show it.`;
    }
    trouble.hidden = !trouble.textContent;
  }

  function learnEnd() { // Chromium takes the length of an MP4 that starts late for its end, until it has played to it
    const missing = scan.start + scan.span - media.duration;
    if (!(scan.start > 0 && missing > 0.5 && missing < 300)) return;
    media.addEventListener("ended", () => {
      isLearning = media.muted = false;
      media.playbackRate = Number(by("speed").value);
      if (current < 0) free(scan.axis.start);
      else playSegment(current); // it was chosen meanwhile
    }, { once: true });
    isLearning = media.muted = true;
    media.playbackRate = 16;
    media.currentTime = media.duration;
    start();
  }

  if (take) {
    take.addEventListener("timeupdate", () => {
      if (take.currentTime >= takeEnd) { take.pause(); takeEnd = Infinity; }
    });
    take.addEventListener("error", () => { for (const button of document.querySelectorAll("button.compare")) button.hidden = true; });
  }
  if (media) {
    media.addEventListener("error", explain);
    media.addEventListener("loadedmetadata", () => {
      explain();
      if (scan.axis.start > scan.start) seek(scan.axis.start); // a part that was asked for
      show();
      learnEnd();
    });
    media.addEventListener("play", () => { by("play").textContent = "Pause"; requestAnimationFrame(frame); });
    media.addEventListener("pause", () => { by("play").textContent = "Play"; show(); });
    media.addEventListener("timeupdate", () => { keepRange(); show(); }); // a hidden tab draws no frames
    media.addEventListener("seeked", show);
    addEventListener("resize", show);
    if (media.error) explain();
  } else document.body.classList.add("no-player");
  show();
})();
