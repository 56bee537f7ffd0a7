// Browsers start no worker from a page that was opened as a file. There, the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(script) {
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.addEventListener("load", () => {
        const inside = this.frame.contentWindow;
        // What the script posts goes to the page, not to the frame itself.
        inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }), 0);
        const code = inside.document.createElement("script");
        code.src = new URL(script, location.href).href;
        code.onerror = (event) => this.onerror?.(event);
        code.onload = () => {
          this.ready = true;
          for (const data of this.waiting) this.deliver(data);
        };
        inside.document.body.append(code);
      });
      document.body.append(this.frame);
    }

    deliver(data) {
      setTimeout(() => this.frame.contentWindow?.onmessage?.({ data }), 0);
    }

    postMessage(data) {
      if (this.ready) this.deliver(data);
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
