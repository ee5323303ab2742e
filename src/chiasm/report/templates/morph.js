"use strict";
// Moves the points of a figure between their places on two maps, by a slider or by itself.
(() => {
  const SECONDS = 2.5;
  const eased = (share) => share * share * (3 - 2 * share);

  function opened(figure) {
    const groups = [...figure.querySelectorAll("svg > g")].map((group) => ({
      marks: [...group.querySelectorAll("path")],
      places: Float64Array.from(group.dataset.places.split(" "), Number),
    }));
    const slider = figure.querySelector("input");
    const button = figure.querySelector("button");
    let playing = 0;

    function draw() {
      const share = eased(Number(slider.value) / Number(slider.max));
      for (const { marks, places } of groups) {
        marks.forEach((mark, index) => {
          const [fromX, fromY, toX, toY] = places.subarray(4 * index, 4 * index + 4);
          const x = fromX + share * (toX - fromX);
          const y = fromY + share * (toY - fromY);
          mark.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
        });
      }
    }

    function stop() {
      cancelAnimationFrame(playing);
      playing = 0;
      button.textContent = "play";
    }

    function play() {
      const from = Number(slider.value);
      const to = from < Number(slider.max) / 2 ? Number(slider.max) : 0;
      const began = performance.now();
      button.textContent = "stop";
      const step = (now) => {
        const done = Math.min((now - began) / (1000 * SECONDS), 1);
        slider.value = String(from + done * (to - from));
        draw();
        if (done < 1) playing = requestAnimationFrame(step);
        else stop();
      };
      playing = requestAnimationFrame(step);
    }

    slider.addEventListener("input", () => {
      stop();
      draw();
    });
    button.addEventListener("click", () => (playing ? stop() : play()));
    // A browser may remember where the slider stood.
    draw();
  }

  document.querySelectorAll("figure.morph").forEach(opened);
})();
