// Light and dark: what the system asks for until the button is pressed.

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function applyTheme() {
  const theme = chosenTheme ?? (systemDark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function switchTheme() {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  applyTheme();
}

function setUpTheme() {
  document.getElementById("theme").addEventListener("click", switchTheme);
  systemDark.addEventListener("change", applyTheme);
  window.addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; });
  window.addEventListener("afterprint", applyTheme);
  applyTheme();
}
