// What forms cannot do alone: a picture that is dropped, pasted or made smaller, a key that is copied, keys in the
// review, and the one-time address.
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
    const button = field.form.querySelector("button");
    const most = Number(drop.dataset.mostPixels);
    const small = new Map(); // what was made smaller, and how, in words
    let latest = 0;

    // A phone's picture has more pixels than the service takes, and may be of a kind that only the browser reads.
    const fitting = async (file) => {
      let picture;
      try {
        picture = await createImageBitmap(file, { imageOrientation: "from-image" });
      } catch {
        return file; // the service says what is wrong with it
      }
      const { width, height } = picture;
      const share = Math.min(1, Math.sqrt(most / (width * height)));
      if (share === 1 && ["image/jpeg", "image/png", "image/webp"].includes(file.type)) {
        picture.close();
        return file;
      }
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.floor(width * share));
      canvas.height = Math.max(1, Math.floor(height * share));
      const pen = canvas.getContext("2d");
      pen.fillStyle = "rgb(128, 128, 128)"; // what shows through a transparent picture, as in the service
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.imageSmoothingQuality = "high";
      pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      const data = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
      if (!data) return file;
      const made = new File([data], `${file.name.replace(/\.\w+$/, "")}.jpg`, { type: "image/jpeg" });
      if (share < 1) small.set(made, `made smaller: ${width} x ${height} to ${canvas.width} x ${canvas.height}`);
      return made;
    };
    const note = (text) => {
      const words = document.createElement("p");
      words.className = "hint";
      words.textContent = text;
      return words;
    };
    const shown = (file) => {
      const figure = document.createElement("figure");
      const picture = document.createElement("img");
      picture.alt = file.name;
      picture.src = URL.createObjectURL(file);
      picture.onload = () => URL.revokeObjectURL(picture.src);
      picture.onerror = () =>
        figure.replaceChildren(note(`${file.name}: ${file.size ? "this browser cannot show it" : "the file is empty"}`));
      figure.append(picture);
      if (small.has(file)) figure.append(note(small.get(file)));
      return figure;
    };
    const take = async (files) => {
      const chosen = [...files];
      const turn = ++latest; // what is chosen meanwhile takes its place
      const all = new DataTransfer();
      small.clear();
      button.disabled = true;
      const made = [];
      for (const file of chosen) {
        made.push(await fitting(file)); // one after another: each takes much memory
        if (turn !== latest) return;
        all.items.add(made.at(-1));
      }
      field.files = all.files;
      preview.replaceChildren(...made.map(shown));
      preview.hidden = !made.length;
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
