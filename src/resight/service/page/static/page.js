// What forms cannot do alone: a picture that is dropped, pasted, cut or made smaller, a key that is copied, keys in
// the review, and the one-time address.
"use strict";

(() => {
  const login = document.getElementById("login");
  const start = new URLSearchParams(location.hash.slice(1)).get("start");
  if (login && start) {
    history.replaceState(null, "", location.pathname); // the secret leaves the address bar
    login.elements.key.value = start;
    login.submit();
  }

  const field = document.getElementById("crop");
  const drop = document.getElementById("drop");
  if (field && drop) {
    const preview = document.getElementById("preview");
    const button = field.form.querySelector("button:not([type])");
    const most = Number(drop.dataset.mostPixels);
    const cutHelp = document.getElementById("cut-help");
    const small = new WeakMap(); // what was made smaller, and how, in words
    const whole = new WeakMap(); // what was cut out, and of which picture
    let current = [];
    let latest = 0;

    const opened = (file) => createImageBitmap(file, { imageOrientation: "from-image" });
    // A part of a picture, in fractions of it, as a JPEG of no more pixels than the service takes.
    const part = async (file, picture, [left, top, right, bottom]) => {
      const width = (right - left) * picture.width;
      const height = (bottom - top) * picture.height;
      const share = Math.min(1, Math.sqrt(most / (width * height)));
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.floor(width * share));
      canvas.height = Math.max(1, Math.floor(height * share));
      const pen = canvas.getContext("2d");
      pen.fillStyle = "rgb(128, 128, 128)"; // what shows through a transparent picture, as in the service
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.imageSmoothingQuality = "high";
      const from = [left * picture.width, top * picture.height, width, height];
      pen.drawImage(picture, ...from, 0, 0, canvas.width, canvas.height);
      const data = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
      if (!data) return file;
      const made = new File([data], `${file.name.replace(/\.\w+$/, "")}.jpg`, { type: "image/jpeg" });
      const sizes = `${Math.round(width)} x ${Math.round(height)} to ${canvas.width} x ${canvas.height}`;
      if (share < 1) small.set(made, `made smaller: ${sizes}`);
      return made;
    };
    // A phone's picture has more pixels than the service takes, and may be of a kind that only the browser reads.
    const fitting = async (file) => {
      let picture;
      try {
        picture = await opened(file);
      } catch {
        return file; // the service says what is wrong with it
      }
      const fits = picture.width * picture.height <= most;
      const read = ["image/jpeg", "image/png", "image/webp"].includes(file.type);
      const made = fits && read ? file : await part(file, picture, [0, 0, 1, 1]);
      picture.close();
      return made;
    };
    const instead = (file, other) => take(current.map((each) => (each === file ? other : each)));
    // A frame that is drawn around one person cuts them out.
    const cuttable = (picture, frame, file) => {
      let start = null;
      let box = null;
      const at = (event) => {
        const { left, top, width, height } = picture.getBoundingClientRect();
        return [(event.clientX - left) / width, (event.clientY - top) / height].map((x) => Math.min(1, Math.max(0, x)));
      };
      picture.draggable = false;
      picture.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        picture.setPointerCapture(event.pointerId);
        start = at(event);
      });
      picture.addEventListener("pointermove", (event) => {
        if (!start) return;
        const [x, y] = at(event);
        box = [Math.min(x, start[0]), Math.min(y, start[1]), Math.max(x, start[0]), Math.max(y, start[1])];
        const [left, top, right, bottom] = box.map((share) => 100 * share);
        Object.assign(frame.style, {
          left: `${left}%`,
          top: `${top}%`,
          width: `${right - left}%`,
          height: `${bottom - top}%`,
        });
        frame.hidden = false;
      });
      const end = async (event) => {
        const drawn = event.type === "pointerup" ? box : null;
        start = box = null;
        frame.hidden = true;
        if (!drawn || (drawn[2] - drawn[0]) * picture.width < 8 || (drawn[3] - drawn[1]) * picture.height < 8) return;
        const source = await opened(file);
        const cut = await part(file, source, drawn);
        source.close();
        whole.set(cut, whole.get(file) ?? file);
        await instead(file, cut);
      };
      picture.addEventListener("pointerup", end);
      picture.addEventListener("pointercancel", end);
    };
    const note = (text) => {
      const words = document.createElement("p");
      words.className = "hint";
      words.textContent = text;
      return words;
    };
    const shown = (file) => {
      const figure = document.createElement("figure");
      const canvas = document.createElement("div");
      canvas.className = "canvas";
      const frame = document.createElement("div");
      frame.className = "cut";
      frame.hidden = true;
      const picture = document.createElement("img");
      picture.alt = file.name;
      picture.src = URL.createObjectURL(file);
      picture.onload = () => URL.revokeObjectURL(picture.src);
      picture.onerror = () =>
        figure.replaceChildren(note(`${file.name}: ${file.size ? "this browser cannot show it" : "the file is empty"}`));
      cuttable(picture, frame, file);
      canvas.append(picture, frame);
      figure.append(canvas);
      if (small.has(file)) figure.append(note(small.get(file)));
      if (whole.has(file)) {
        const undo = document.createElement("button");
        undo.type = "button";
        undo.className = "quiet";
        undo.textContent = "Whole picture";
        undo.addEventListener("click", () => instead(file, whole.get(file)));
        figure.append(undo);
      }
      return figure;
    };
    const take = async (files) => {
      const chosen = [...files];
      const turn = ++latest; // what is chosen meanwhile takes its place
      const all = new DataTransfer();
      button.disabled = true;
      const made = [];
      for (const file of chosen) {
        made.push(await fitting(file)); // one after another: each takes much memory
        if (turn !== latest) return;
        all.items.add(made.at(-1));
      }
      field.files = all.files;
      current = made;
      preview.replaceChildren(...made.map(shown));
      preview.hidden = cutHelp.hidden = !made.length;
      button.disabled = false;
    };
    field.addEventListener("change", () => take(field.files));
    if (field.files.length) take(field.files); // which the browser kept while the page was loaded again
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => {
      const pictures = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
      if (pictures.length) take(pictures);
    });
  }

  for (const copy of document.querySelectorAll("[data-copy]")) {
    copy.hidden = !navigator.clipboard; // which browsers have with TLS and on this machine alone
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
      copy.textContent = "Copied";
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (pressed) pressed.click();
  });

  // An error has a page of its own, whose #answer takes the place of the answer; but for those of the guard (a session
  // that ended, too large a request), which are problems in JSON.
  document.addEventListener("htmx:beforeSwap", (event) => {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    if (!event.detail.xhr.getResponseHeader("Content-Type").startsWith("application/problem+json")) return;
    const told = document.createElement("div");
    told.id = "answer";
    const words = document.createElement("p");
    words.className = "trouble";
    words.setAttribute("role", "alert");
    words.textContent = JSON.parse(event.detail.serverResponse).detail;
    told.append(words);
    event.detail.serverResponse = told.outerHTML;
  });
})();
