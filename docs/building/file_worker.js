// Browsers start no worker for a page that was opened from the disk. The theme's search is a worker, so there its script
// runs in a hidden frame instead: the same messages, on the page's own thread.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      const inside = this.frame.contentWindow
      const tell = (target, data) => setTimeout(() => target.dispatchEvent(new MessageEvent("message", { data })))
      inside.postMessage = (data) => tell(this, data)
      const script = inside.document.createElement("script")
      const ready = new Promise((resolve) => (script.onload = resolve))
      script.src = url
      inside.document.body.append(script)
      this.postMessage = (data) => ready.then(() => tell(inside, data))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
