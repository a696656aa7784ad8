"""How good a result is: PSNR, SSIM, and pictures that show the difference. Never opens a video."""
