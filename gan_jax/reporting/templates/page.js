(() => {
  const root = document.documentElement, together = document.querySelector("#together");
  const players = [...document.querySelectorAll(".player")].map(box => {
    const frames = [...box.querySelectorAll(".frame")], slider = box.querySelector("input");
    const play = box.querySelector(".play"), images = frames.map(frame => +frame.dataset.images);
    let at = frames.length - 1, timer = 0;
    const show = n => {
      at = (n + frames.length) % frames.length;
      frames.forEach((frame, i) => { frame.hidden = i !== at; });
      slider.value = at;
      slider.setAttribute("aria-valuetext", images[at] + " images");
    };
    const near = count => show(images.reduce((best, x, i) =>
      Math.abs(x - count) < Math.abs(images[best] - count) ? i : best, 0));
    const lead = n => {
      show(n);
      if (together && together.checked) {
        players.forEach(other => other.box !== box && other.near(images[at]));
      }
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      play.textContent = "\u25b6";
      play.ariaLabel = "play";
    };
    const start = () => {
      players.forEach(other => other.stop());
      timer = setInterval(() => lead(at + 1), 450);
      play.textContent = "\u275a\u275a";
      play.ariaLabel = "pause";
    };
    play.onclick = () => timer ? stop() : start();
    slider.oninput = () => { stop(); lead(+slider.value); };
    box.querySelectorAll("[data-go]").forEach(button => {
      button.onclick = () => { stop(); lead(at + +button.dataset.go); };
    });
    box.querySelector(".controls").hidden = frames.length < 2;
    show(at);
    return {box, near, stop, frames};
  });
  if (together) together.parentElement.hidden = false;
  const go = () => {
    const requested = /^#images=(\d+)$/.exec(location.hash);
    if (requested) players.forEach(player => player.near(+requested[1]));
  };
  window.onhashchange = go;
  go();
  document.querySelectorAll(".switch").forEach(button => {
    button.onclick = () => {
      const off = button.ariaPressed === "true", name = "--r" + button.dataset.run;
      button.ariaPressed = String(!off);
      off ? root.style.setProperty(name, "transparent") : root.style.removeProperty(name);
    };
  });
  root.dataset.frames = players.map(player => player.frames.length).join();
})();
