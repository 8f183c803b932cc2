// Containers of the class "tab" that follow one another become tabs; without this script they stand below one another.
document.addEventListener("DOMContentLoaded", function () {
  document.querySelectorAll("div.tab").forEach(function (first) {
    if (first.previousElementSibling && first.previousElementSibling.matches("div.tab")) {
      return;
    }
    const tabs = [];
    for (let one = first; one && one.matches("div.tab"); one = one.nextElementSibling) {
      tabs.push(one);
    }
    const bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "tablist");
    const show = function (shown) {
      tabs.forEach(function (tab, index) {
        tab.hidden = tab !== shown;
        bar.children[index].setAttribute("aria-selected", String(tab === shown));
      });
    };
    tabs.forEach(function (tab) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "tab");
      button.textContent = tab.querySelector("strong").textContent;
      button.addEventListener("click", function () {
        show(tab);
      });
      bar.append(button);
    });
    first.before(bar);
    show(first);
  });
});
