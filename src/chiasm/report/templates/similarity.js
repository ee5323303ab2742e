"use strict";
// Draws how alike all patches of a figure are to the one that is pointed at or chosen.
(() => {
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function opened(place, width) {
    const rows = Number(place.dataset.rows);
    const columns = Number(place.dataset.columns);
    const vectors = new Int8Array(bytes(place.dataset.vectors).buffer);
    const lengths = new Float64Array(rows * columns);
    for (let patch = 0; patch < lengths.length; patch++) {
      lengths[patch] = Math.sqrt(product(vectors, patch * width, vectors, patch * width, width));
    }
    const canvas = place.querySelector("canvas");
    canvas.width = columns;
    canvas.height = rows;
    return { place, rows, columns, vectors, lengths, canvas, chosen: place.querySelector(".chosen") };
  }

  function product(left, from, right, at, width) {
    let sum = 0;
    for (let index = 0; index < width; index++) sum += left[from + index] * right[at + index];
    return sum;
  }

  function cosines(picture, patch, other, width) {
    const found = new Float64Array(other.lengths.length);
    for (let place = 0; place < found.length; place++) {
      const length = picture.lengths[patch] * other.lengths[place];
      const dot = product(picture.vectors, patch * width, other.vectors, place * width, width);
      found[place] = length > 0 ? Math.min(dot / length, 1) : 0;
    }
    return found;
  }

  function draw(picture, values, least, { heat, opacity }) {
    const image = new ImageData(picture.columns, picture.rows);
    const range = Math.max(1 - least, 1e-9);
    for (let patch = 0; patch < values.length; patch++) {
      const level = Math.min(Math.max((values[patch] - least) / range, 0), 1);
      const colour = 3 * Math.round(level * (heat.length / 3 - 1));
      image.data.set(heat.subarray(colour, colour + 3), 4 * patch);
      image.data[4 * patch + 3] = Math.round(255 * opacity * Math.sqrt(level));
    }
    picture.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const told = (picture, patch) =>
    `${picture.place.dataset.name}, row ${Math.floor(patch / picture.columns) + 1}, ` +
    `column ${(patch % picture.columns) + 1}`;

  function nearest(pictures, maps, picture, patch) {
    const others = pictures.length > 1;
    let best = null;
    pictures.forEach((other, index) => {
      if (others && other === picture) return;
      maps[index].forEach((value, place) => {
        const itself = other === picture && place === patch;
        if (!itself && (best === null || value > best.value)) best = { other, place, value };
      });
    });
    return best;
  }

  function start(figure) {
    const width = Number(figure.dataset.width);
    const colours = { heat: bytes(figure.dataset.heat), opacity: Number(figure.dataset.opacity) };
    const pictures = [...figure.querySelectorAll(".patches")].map((place) => opened(place, width));
    const first = figure.dataset.start.split(",").map(Number);
    let kept = { picture: pictures[first[0]], patch: first[1] * pictures[first[0]].columns + first[2] };
    let shown = "";

    function show({ picture, patch }) {
      const key = `${pictures.indexOf(picture)},${patch}`;
      if (key === shown) return;
      shown = key;
      const maps = pictures.map((other) => cosines(picture, patch, other, width));
      const least = Math.min(...maps.map((map) => map.reduce((low, value) => Math.min(low, value), 1)));
      pictures.forEach((other, index) => {
        draw(other, maps[index], least, colours);
        other.chosen.hidden = other !== picture;
      });
      const row = Math.floor(patch / picture.columns);
      Object.assign(picture.chosen.style, {
        left: `${(100 * (patch % picture.columns)) / picture.columns}%`,
        top: `${(100 * row) / picture.rows}%`,
        width: `${100 / picture.columns}%`,
        height: `${100 / picture.rows}%`,
      });
      const best = nearest(pictures, maps, picture, patch);
      const where = pictures.length > 1 ? "Most alike in another picture" : "Most alike";
      figure.querySelector(".told").textContent =
        `${told(picture, patch)}. ` +
        (best === null ? "" : `${where}: ${told(best.other, best.place)}, cosine ${best.value.toFixed(2)}.`);
      figure.querySelector(".least").textContent = least.toFixed(2);
    }

    function keep(choice) {
      kept = choice;
      show(kept);
    }

    function pointed(picture, event) {
      const box = picture.canvas.getBoundingClientRect();
      const cell = (share, count) => Math.min(Math.max(Math.floor(share * count), 0), count - 1);
      const row = cell((event.clientY - box.top) / box.height, picture.rows);
      const column = cell((event.clientX - box.left) / box.width, picture.columns);
      return { picture, patch: row * picture.columns + column };
    }

    function moved(picture, event) {
      const step = STEPS[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const from = kept.picture === picture ? kept.patch : 0;
      const row = Math.floor(from / picture.columns) + step[0];
      const column = (from % picture.columns) + step[1];
      if (row < 0 || row >= picture.rows || column < 0 || column >= picture.columns) return;
      keep({ picture, patch: row * picture.columns + column });
    }

    for (const picture of pictures) {
      picture.place.addEventListener("pointermove", (event) => show(pointed(picture, event)));
      picture.place.addEventListener("pointerleave", () => show(kept));
      picture.place.addEventListener("click", (event) => keep(pointed(picture, event)));
      picture.place.addEventListener("keydown", (event) => moved(picture, event));
    }
    show(kept);
  }

  document.querySelectorAll("figure.similarity").forEach(start);
})();
