// What forms cannot do alone: a picture that is dropped or pasted, keys in the review, and the one-time address.
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
    const show = () => {
      preview.replaceChildren(
        ...[...field.files].map((file) => {
          const picture = document.createElement("img");
          picture.alt = file.name;
          picture.src = URL.createObjectURL(file);
          picture.onload = () => URL.revokeObjectURL(picture.src);
          return picture;
        }),
      );
      preview.hidden = !field.files.length;
    };
    const take = (files) => {
      const pictures = [...files].filter((file) => file.type.startsWith("image/"));
      if (!pictures.length) return;
      const all = new DataTransfer();
      pictures.forEach((file) => all.items.add(file));
      field.files = all.files;
      show();
    };
    field.addEventListener("change", show);
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
      take(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (pressed) pressed.click();
  });

  // An error has a page of its own, whose #answer takes the place of the answer.
  document.addEventListener("htmx:beforeSwap", (event) => {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });
})();
