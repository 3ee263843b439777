// The page of `fakespan serve`: uploads files, follows jobs, shows reports. All text goes in as text, never as markup.

const $ = (id) => document.getElementById(id);
const jobs = new Map(); // id -> { job, item }
let next = null; // link to older jobs
let stream = null;

class Refusal extends Error {}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal("The service does not answer.");
  }
  if (answer.ok || answer.status === 404) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) start();
  throw new Refusal([problem.title, problem.detail].filter(Boolean).join(" ") || `The service answered ${answer.status}.`);
}

function complain(error) {
  if (!(error instanceof Refusal)) console.error(error);
  $("trouble").textContent = error.message;
  $("trouble").hidden = false;
}

function calm() {
  $("trouble").hidden = true;
}

const tell = (text) => ($("news").textContent = text);

// ---- words

function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function size(bytes) {
  if (bytes === null) return "";
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const date = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function facts(job) {
  const parts = [];
  if (job.state === "queued") parts.push(job.queue_position === 1 ? "next in the queue" : `number ${job.queue_position ?? "?"} in the queue`);
  if (job.state === "running") parts.push(job.time_left_s ? `about ${duration(job.time_left_s)} left` : "scanning");
  if (job.summary) {
    parts.push(clock(job.summary.duration_s));
    const n = job.summary.n_segments;
    parts.push(n === 0 ? "no suspected segment" : n === 1 ? "1 suspected segment" : `${n} suspected segments`);
  }
  if (job.problem) parts.push(job.problem.title);
  parts.push(size(job.size), date(job.created));
  return parts.filter(Boolean).join(" · ");
}

function badge(job) {
  const kinds = { "suspected forged": "suspected", "no forgery found": "clear" }; // anything else has no colour
  if (job.summary) return [job.summary.verdict, kinds[job.summary.verdict] ?? "neutral"];
  return [job.state === "failed" ? "not scanned" : job.state, job.state];
}

// ---- list of jobs

function show(job) {
  const known = jobs.get(job.id);
  const item = known?.item ?? $("job-item").content.firstElementChild.cloneNode(true);
  const [text, kind] = badge(job);
  const name = item.querySelector(".name");
  name.textContent = job.name;
  name.title = job.name;
  if (job.state === "done") name.href = `#${job.id}`;
  item.querySelector(".facts").textContent = facts(job);
  item.querySelector(".badge").textContent = text;
  item.querySelector(".badge").className = `badge ${kind}`;
  const bar = item.querySelector("progress");
  bar.hidden = job.state !== "running";
  bar.value = job.progress;
  bar.setAttribute("aria-label", `Progress of ${job.name}`);
  const isOpen = job.state === "queued" || job.state === "running";
  const remove = item.querySelector(".remove");
  remove.textContent = isOpen ? "Cancel" : "Delete";
  remove.setAttribute("aria-label", `${remove.textContent} ${job.name}`);
  remove.onclick = () => discard(job.id);
  if (job.links.thumbnail && !item.querySelector("img")) picture(item, job);
  if (known && known.job.state !== job.state && !isOpen) tell(`${job.name}: ${text}`);
  jobs.set(job.id, { job, item });
  item.dataset.id = job.id;
  if (!known) place(item, job);
  $("empty").hidden = jobs.size > 0;
}

function picture(item, job) {
  const image = new Image();
  image.alt = "";
  image.src = job.links.thumbnail;
  image.onerror = () => image.remove();
  item.querySelector(".picture").append(image);
}

function place(item, job) {
  const older = [...$("list").children].find((other) => jobs.get(other.dataset.id)?.job.created < job.created);
  $("list").insertBefore(item, older ?? null);
}

function forget(id) {
  const item = jobs.get(id)?.item;
  const neighbour = item?.nextElementSibling ?? item?.previousElementSibling;
  const hadFocus = item?.contains(document.activeElement);
  item?.remove();
  jobs.delete(id);
  if (hadFocus) (neighbour?.querySelector(".remove") ?? $("jobs")).focus();
  $("empty").hidden = jobs.size > 0;
}

async function discard(id) {
  const job = jobs.get(id).job;
  try {
    const answer = await ask(`/v1/jobs/${id}`, { method: "DELETE" });
    calm();
    if (answer.status === 202) return show(await answer.json());
    forget(id);
    tell(`${job.name} deleted`);
  } catch (error) {
    complain(error);
  }
}

async function load(link) {
  const page = await (await ask(link)).json();
  page.jobs.forEach(show);
  next = page.next;
  $("more").hidden = next === null;
  return page.jobs;
}

async function reload() {
  const found = new Set((await load("/v1/jobs?limit=50")).map((job) => job.id));
  const oldest = [...found].map((id) => jobs.get(id).job.created).sort()[0] ?? "";
  for (const [id, { job }] of jobs) if (!found.has(id) && (job.created >= oldest || next === null)) forget(id);
  $("empty").hidden = jobs.size > 0;
}

function follow() {
  stream?.close();
  stream = new EventSource("/v1/events");
  stream.addEventListener("job", (event) => show(JSON.parse(event.data)));
  stream.onopen = () => reload().catch(complain); // whatever was missed meanwhile
}

// ---- uploads

function options() {
  const chosen = { model: $("model").value, faces: $("faces").value };
  for (const name of ["threshold", "start", "end", "video_track", "audio_track"]) if ($(name).value.trim() !== "") chosen[name] = $(name).value.trim();
  return chosen;
}

function add(files) {
  calm();
  const chosen = options();
  for (const file of files) upload(file, chosen);
}

function upload(file, chosen) {
  const item = $("upload-item").content.firstElementChild.cloneNode(true);
  const [name, bar, state, button] = item.children;
  name.textContent = file.name;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  button.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
  $("uploads").append(item);
  const started = Date.now();
  const fail = (text) => {
    state.textContent = "failed";
    complain(new Refusal(`${file.name}: ${text}`));
    button.textContent = "Close";
    button.onclick = () => item.remove();
  };
  if (file.size === 0) return fail("The file is empty.");
  const sending = new tus.Upload(file, {
    endpoint: "/v1/uploads",
    chunkSize: 16e6,
    retryDelays: [500, 2000, 5000, 15000, 30000],
    removeFingerprintOnSuccess: true,
    metadata: { filename: file.name, filetype: file.type || "application/octet-stream" },
    onProgress: (sent, total) => {
      bar.value = sent / total;
      const left = ((Date.now() - started) / 1000) * (total / sent - 1);
      state.textContent = sent && left > 2 ? `${duration(left)} left` : `${Math.round((100 * sent) / total)} %`;
    },
    onError: (error) => fail(reason(error)),
    onSuccess: async () => {
      try {
        await submit(sending.url.split("/").pop(), chosen);
        item.remove();
      } catch (error) {
        fail(error.message);
      }
    },
  });
  button.onclick = () => {
    sending.abort(true).catch(() => {});
    item.remove();
  };
  sending.start();
}

function reason(error) {
  try {
    const problem = JSON.parse(error.originalResponse.getBody());
    return [problem.title, problem.detail].filter(Boolean).join(" ");
  } catch {
    return "The upload failed.";
  }
}

async function submit(id, chosen) {
  const form = new FormData();
  form.set("upload", id);
  for (const [key, value] of Object.entries(chosen)) form.set(key, value);
  const answer = await ask("/v1/jobs", { method: "POST", body: form });
  const job = await answer.json();
  show(job);
  tell(`${job.name}: ${job.state === "done" ? "scanned before" : "accepted"}`);
}

// ---- report in place

async function route() {
  const id = location.hash.slice(1);
  const isReport = /^[0-9a-f]{32}$/.test(id);
  if (isReport) {
    const answer = await ask(`/v1/jobs/${id}`);
    const job = answer.ok ? await answer.json() : null;
    if (job?.state === "done") return open(job);
    complain(new Refusal(job ? `${job.name} has no report: ${job.problem?.title ?? job.state}` : "That file has been deleted."));
  }
  const wasOpen = !$("report").hidden;
  $("share").close();
  $("report").hidden = true;
  $("desk").hidden = false;
  $("frame").removeAttribute("src");
  document.title = "fakespan";
  if (wasOpen) (jobs.get($("report").dataset.id)?.item.querySelector(".name") ?? $("jobs")).focus();
}

function open(job) {
  calm();
  $("report").dataset.id = job.id;
  $("report-title").textContent = job.name;
  const file = job.upload_expires ? `The file is kept until ${date(job.upload_expires)}` : "The file has been deleted";
  const again = job.reused ? "Scanned before, with the same options. " : "";
  $("kept").textContent = `${again}${file}; the report is kept until ${date(job.result_expires)}.`;
  $("as-page").href = job.links.report;
  for (const kind of ["csv", "vtt"]) $(`as-${kind}`).href = job.links[kind];
  $("as-json").href = job.links.result;
  $("as-json").download = `${job.name}.json`;
  $("frame").src = job.links.report;
  $("desk").hidden = true;
  $("report").hidden = false;
  document.title = `${job.name}: ${job.summary.verdict}`;
  $("report-title").focus();
}

function leaveUnreadableReport() {
  if (!$("frame").hasAttribute("src") || $("frame").contentDocument) return; // the browser hides an answer that was refused
  complain(new Refusal(`The report of ${$("report-title").textContent} cannot be read; the file may have been deleted meanwhile.`));
  location.hash = "";
}

// ---- links to a report

const linksOf = () => `/v1/jobs/${$("report").dataset.id}/links`;

async function share() {
  $("share-new").hidden = true;
  $("share-url").value = $("share-news").textContent = "";
  $("share-here").hidden = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  await listLinks();
  $("share").showModal();
}

async function listLinks() {
  const answer = await ask(linksOf());
  const links = answer.ok ? await answer.json() : [];
  $("share-list").replaceChildren(...links.map(linkItem));
  $("share-list-title").hidden = links.length === 0;
}

function linkItem(link) {
  const item = $("link-item").content.firstElementChild.cloneNode(true);
  const [text, button] = item.children;
  text.textContent = `by ${link.owner} on ${date(link.created)}, valid until ${date(link.expires)}`;
  button.setAttribute("aria-label", `Revoke the link ${text.textContent}`);
  button.onclick = () => inShare(() => revoke(link));
  return item;
}

async function makeLink() {
  const body = JSON.stringify({ days: Number($("share-days").value) });
  const answer = await ask(linksOf(), { method: "POST", headers: { "content-type": "application/json" }, body });
  if (!answer.ok) throw new Refusal("That file has been deleted.");
  const link = await answer.json();
  await listLinks();
  $("share-new").hidden = false;
  $("share-url").value = location.origin + link.url;
  $("share-url").dataset.id = link.id;
  $("share-url").select();
  $("share-news").textContent = `Valid until ${date(link.expires)}.`;
}

async function revoke(link) {
  await ask(`${linksOf()}/${link.id}`, { method: "DELETE" });
  if ($("share-url").dataset.id === link.id) $("share-new").hidden = true;
  await listLinks();
  ($("share-list").querySelector("button") ?? $("share-close")).focus();
  $("share-news").textContent = "The link was revoked.";
}

async function copyLink() {
  $("share-url").select();
  if (!navigator.clipboard) return ($("share-news").textContent = "Copy the marked text."); // a page over plain HTTP
  await navigator.clipboard.writeText($("share-url").value);
  $("share-news").textContent = "Copied.";
}

// what goes wrong is said within the dialog, which hides the rest of the page
const inShare = (step) => step().catch((error) => ($("share-news").textContent = error.message));

function listenToShare() {
  $("share-open").onclick = () => share().catch(complain);
  $("share-close").onclick = () => $("share").close();
  $("share-copy").onclick = () => inShare(copyLink);
  $("share-form").onsubmit = (event) => {
    event.preventDefault();
    inShare(makeLink);
  };
}

// ---- start

async function start() {
  stream?.close();
  const session = await (await fetch("/v1/session")).json();
  const isIn = session.name !== null;
  $("log-in").hidden = isIn;
  $("desk").hidden = !isIn;
  $("report").hidden = true;
  $("who").hidden = $("log-out").hidden = !(isIn && session.needs_token);
  $("who").textContent = session.name ?? "";
  if (!isIn) return $("token").focus();
  $("add").hidden = !session.scopes.includes("write");
  document.body.classList.toggle("read-only", !session.scopes.includes("write"));
  const models = await (await ask("/v1/models")).json();
  $("model").replaceChildren(...models.map((model) => new Option(model.name, model.name)));
  await reload();
  follow();
  await route();
}

function listen() {
  listenToShare();
  const drop = $("drop");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", !$("desk").hidden);
    });
  }
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!$("desk").hidden && !$("add").hidden) add(event.dataTransfer.files);
  });
  $("files").onchange = () => {
    add([...$("files").files]);
    $("files").value = "";
  };
  $("more").onclick = () => load(next).catch(complain);
  $("back").onclick = () => (location.hash = "");
  $("frame").onload = leaveUnreadableReport;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !$("report").hidden && !$("share").open) location.hash = "";
  });
  addEventListener("hashchange", () => route().catch(complain));
  $("log-in").onsubmit = async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ token: $("token").value });
    try {
      await ask("/v1/session", { method: "POST", headers: { "content-type": "application/json" }, body });
      $("token").value = "";
      calm();
      await start();
    } catch (error) {
      complain(error);
    }
  };
  $("log-out").onclick = async () => {
    await ask("/v1/session", { method: "DELETE" });
    location.reload();
  };
}

listen();
start().catch(complain);
