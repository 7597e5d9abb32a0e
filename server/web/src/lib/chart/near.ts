// What is far from the viewport does not exist: its box keeps its place.

/** Attached to a box; says whether it is within a screen of what is seen. */
export function near(onchange: (isNear: boolean) => void): (box: HTMLElement) => () => void {
  return (box) => {
    const observer = new IntersectionObserver(
      (entries) => onchange(entries.some(({ isIntersecting }) => isIntersecting)),
      { rootMargin: '100% 0px' },
    );
    observer.observe(box);
    return () => observer.disconnect();
  };
}

/** Attached to the wrapper of a chart; tells its size in whole pixels, once a frame at most. */
export function size(onchange: (width: number, height: number) => void): (box: HTMLElement) => () => void {
  return (box) => {
    let frame = 0;
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => onchange(Math.floor(box.clientWidth), Math.floor(box.clientHeight)));
    });
    observer.observe(box);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
    };
  };
}
